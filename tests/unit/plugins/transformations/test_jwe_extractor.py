"""JweExtractor; that it reads what others write is in `tests/conformance/test_encrypted_tokens.py`."""

from jwcrypto import jwe, jwk  # type: ignore[import-untyped]

from tests.conformance.test_encrypted_tokens import certificate
from tests.unit.plugins.asked import ask, header

ROW = ("certificates", "c", certificate("c"))


def test_what_the_signer_writes_is_read() -> None:
    made = header(ask("JweSigner", {"certId": "c", "payload": {"a": "b"}}, ROW), "X-JWT-Token")
    assert made is not None
    config = {"certId": "c", "source": {"type": "InHeader", "name": "X-In", "remove": "Bearer "}}
    read = header(ask("JweExtractor", config, ROW, headers=[("X-In", made)]), "X-JWT-Token")
    assert read is not None
    assert '"a":"b"' in read


def test_a_missing_token_is_refused() -> None:
    decision = ask("JweExtractor", {"certId": "c"}, ROW)
    assert (decision[1], decision[3]) == (400, b'{"error":"something wrong happened"}')


def test_without_its_certificate_the_token_stays_as_it_is() -> None:
    assert header(ask("JweExtractor", {}, headers=[("X-JWT-Token", "x")]), "X-JWT-Token") == "x"


def test_what_cannot_be_read_passes_unless_strict() -> None:
    sent = [("X-JWT-Token", "a.b.c.d.e")]
    assert (
        header(ask("JweExtractor", {"certId": "c"}, ROW, headers=sent), "X-JWT-Token")
        == "a.b.c.d.e"
    )
    strict = ask("JweExtractor", {"certId": "c", "strict": True}, ROW, headers=sent)
    assert (strict[1], strict[3]) == (401, b'{"error":"invalid token"}')


def test_rsa_oaep_with_sha1_is_read_when_it_is_configured() -> None:
    theirs = jwe.JWE(b'{"a":1}', protected='{"alg":"RSA-OAEP","enc":"A256GCM"}')
    theirs.allowed_algs = ["RSA-OAEP", "A256GCM"]
    theirs.add_recipient(jwk.JWK.from_pem(certificate("c")["privateKey"].encode()))
    sent = [("X-JWT-Token", str(theirs.serialize(compact=True)))]
    algorithms = {"content_encryption_algorithm": "A256GCM", "strict": True}
    for wrap, read in (("RSA_OAEP", '{"a":1}'), ("RSA_OAEP_256", None)):
        config = {"certId": "c", "key_management_algorithm": wrap, **algorithms}
        decision = ask("JweExtractor", config, ROW, headers=sent)
        assert header(decision, "X-JWT-Token") == read if read else decision[1] == 401, wrap
