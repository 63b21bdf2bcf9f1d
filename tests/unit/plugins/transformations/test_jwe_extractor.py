"""JweExtractor; that it reads what others write is in `tests/conformance/test_encrypted_tokens.py`."""

from jwcrypto import jwe, jwk  # type: ignore[import-untyped]

from tests.unit.plugins.token_plans import certificate, certificate_row, send

ROWS = (certificate_row("c"),)


def test_what_the_signer_writes_is_read() -> None:
    config = {"certId": "c", "payload": {"a": "b"}}
    made = send("JweSigner", config, entities=ROWS).fields["x-jwt-token"]
    config = {"certId": "c", "source": {"type": "InHeader", "name": "X-In", "remove": "Bearer "}}
    read = send("JweExtractor", config, ("X-In", made), entities=ROWS).fields["x-jwt-token"]
    assert '"a":"b"' in read


def test_a_missing_token_is_refused() -> None:
    answer = send("JweExtractor", {"certId": "c"}, entities=ROWS)
    assert (answer.status, answer.json) == (400, {"error": "something wrong happened"})


def test_without_its_certificate_the_token_stays_as_it_is() -> None:
    assert send("JweExtractor", {}, ("X-JWT-Token", "x")).fields["x-jwt-token"] == "x"


def test_what_cannot_be_read_passes_unless_strict() -> None:
    broken = ("X-JWT-Token", "a.b.c.d.e")
    sent = send("JweExtractor", {"certId": "c"}, broken, entities=ROWS)
    assert sent.fields["x-jwt-token"] == "a.b.c.d.e"
    answer = send("JweExtractor", {"certId": "c", "strict": True}, broken, entities=ROWS)
    assert (answer.status, answer.json) == (401, {"error": "invalid token"})


def test_rsa_oaep_with_sha1_is_read_when_it_is_configured() -> None:
    theirs = jwe.JWE(b'{"a":1}', protected='{"alg":"RSA-OAEP","enc":"A256GCM"}')
    theirs.allowed_algs = ["RSA-OAEP", "A256GCM"]
    theirs.add_recipient(jwk.JWK.from_pem(certificate("c")["privateKey"].encode()))
    sent = ("X-JWT-Token", str(theirs.serialize(compact=True)))
    config = {"certId": "c", "content_encryption_algorithm": "A256GCM", "strict": True}
    wrap = {"key_management_algorithm": "RSA_OAEP"}
    read = send("JweExtractor", config | wrap, sent, entities=ROWS)
    assert read.fields["x-jwt-token"] == '{"a":1}'
    wrap = {"key_management_algorithm": "RSA_OAEP_256"}
    assert send("JweExtractor", config | wrap, sent, entities=ROWS).status == 401


def test_what_the_client_itself_puts_in_the_place_of_the_contents_does_not_stay() -> None:
    theirs = ("X-Claims", '{"sub":"root"}')
    places = {
        "source": {"type": "InHeader", "name": "X-In", "remove": ""},
        "forward_location": {"type": "InHeader", "name": "X-Claims", "remove": ""},
    }
    for sent in (("X-In", "a.b.c.d.e"), ("X-In", encrypted(b'{"sub":\n"jo"}'))):
        config = {"certId": "c", "content_encryption_algorithm": "A256GCM", **places}
        got = send("JweExtractor", config, sent, theirs, entities=ROWS)
        assert got.status is None
        assert "x-claims" not in got.fields
    assert "x-claims" not in send("JweExtractor", places, ("X-In", "x"), theirs).fields


def encrypted(plain: bytes) -> str:
    made = jwe.JWE(plain, protected='{"alg":"RSA-OAEP-256","enc":"A256GCM"}')
    made.add_recipient(jwk.JWK.from_pem(certificate("c")["privateKey"].encode()))
    return str(made.serialize(compact=True))
