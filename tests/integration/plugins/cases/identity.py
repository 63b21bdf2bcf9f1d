"""What the plugins do that find out who calls, or tell a backend: keys, tokens, certificates, signatures."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from jwcrypto import jwe, jwk  # type: ignore[import-untyped]

from tests.integration.plugins.cases.case import BACKEND, Case, acts, answer, left, slot
from tests.integration.plugins.cases.entities import (
    BASIC,
    KEY,
    OTHER_KEY,
    SECRET,
    WRONG_KEY,
    bearing,
    shown,
    subject_of,
)
from tests.integration.plugins.cases.headers import NO_KEYS, one
from tests.unit.plugins.token_plans import certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from tests.integration.plugins.cases.case import Wanted

__all__ = ["CASES"]

ANY: Final = "Accept: */*"
AS_IT_CAME: Final = {"Otoroshi-Client-Id": ["good"], "Otoroshi-Client-Secret": ["right"]}


def lines(client_id: str, secret: str = "right") -> tuple[str, str]:
    """Return the lines that show a key."""
    return (f"Otoroshi-Client-Id: {client_id}", f"Otoroshi-Client-Secret: {secret}")


def token_in(prefix: str, check: Callable[[str], object]) -> Wanted:
    """Want one value: a token behind this text, whose claims pass a check."""

    def judge(values: list[str]) -> object:
        (value,) = values
        return value.startswith(prefix) and check(value.removeprefix(prefix))

    return judge


KEYS: Final = {
    "ApikeyCalls": Case(
        {},
        (
            acts("GET /", ANY, status=400, words=b"no apikey"),
            acts("GET /", ANY, *lines("nobody"), status=400, words=b"invalid apikey tuple"),
            acts("GET /", ANY, *WRONG_KEY, status=401, words=b"bad apikey"),
            acts("GET /", ANY, *lines("off"), status=401, words=b"bad apikey"),
            acts("GET /", BASIC, to_backend={"Authorization": []}),
            left("GET /", *lines("few"), to_backend={"Otoroshi-Client-Id": []}),
            left("GET /", *lines("few")),
            acts("GET /", ANY, *lines("few"), status=429, words=b"too much requests"),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
    "NgLegacyApikeyCall": Case(
        {"public_patterns": ["/open/.*"], "private_patterns": ["/open/not"]},
        (
            left("GET /open/a"),
            acts("GET /open/not", ANY, status=400, words=b"no apikey"),
            acts("GET /shut", ANY, *WRONG_KEY, status=401, words=b"bad apikey"),
            acts("GET /shut", BASIC, to_backend={"Authorization": []}),
        ),
    ),
    "ApikeyAuthModule": Case(
        {"realm": "here"},
        (
            acts(
                status=401,
                exactly=b"<h3>not authorized</h3>",
                to_client={"WWW-Authenticate": ['Basic realm="here"']},
            ),
            acts("GET /", "Authorization: Basic !!!", status=403, exactly=b"<h3>forbidden</h3>"),
            acts("GET /", BASIC, to_backend={"X-Caller": ["good"]}),
            left("GET /left", to_backend={"X-Caller": ["nobody"]}),
        ),
        more={"exclude": ["/left"]},
        after=(slot("AdditionalHeadersIn", headers={"X-Caller": "${apikey.id || nope::nobody}"}),),
    ),
    "NgApikeyMandatoryTags": Case(
        {"tags": ["eu", "gold"]},
        (
            left("GET /", *KEY),
            left(),
            acts("GET /", ANY, *OTHER_KEY, status=403, words=b"forbidden"),
            acts("GET /", ANY, *lines("half"), status=403, words=b"forbidden"),
        ),
        before=(NO_KEYS,),
    ),
    "NgApikeyMandatoryMetadata": Case(
        {"metadata": {"plan": "big", "paid": "yes"}},
        (
            left("GET /", *KEY),
            left(),
            acts("GET /", ANY, *OTHER_KEY, status=403, words=b"forbidden"),
            acts("GET /", ANY, *lines("half"), status=403, words=b"forbidden"),
        ),
        before=(NO_KEYS,),
    ),
    "ApikeyQuotas": Case(
        {},
        (
            left("GET /left", BASIC, to_client={"Otoroshi-Daily-Calls-Remaining": []}),
            acts("GET /", BASIC, to_client={"Otoroshi-Daily-Calls-Remaining": one(r"\d+")}),
        ),
        before=(slot("ApikeyAuthModule"),),
        after=(slot("SendOtoroshiHeadersBack"),),
        more={"exclude": ["/left"]},
    ),
    "NgClientCredentialTokenEndpoint": Case(
        {"default_key_pair": "ec"},
        (
            acts(
                "POST /token",
                "Content-Type: application/x-www-form-urlencoded",
                body=b"grant_type=client_credentials&client_id=good&client_secret=right",
                words=b'"token_type":"Bearer"',
                to_backend=None,
            ),
            acts(
                "POST /token",
                "Content-Type: application/x-www-form-urlencoded",
                body=b"grant_type=client_credentials&client_id=good&client_secret=wrong",
                status=401,
                words=b"bad client credentials",
            ),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
}

ADMIN: Final = bearing(role="admin", sub="jo", hidden=1)
USER: Final = bearing(role="user", sub="jo")
FORGED: Final = bearing("another secret, which is as long as it should be, too", role="admin")
PLACE: Final = {"type": "InHeader", "name": "Authorization", "remove": "Bearer "}
CLAIMS: Final = {"who": "jo", "n": 1}


def encrypted() -> str:
    """Return a token encrypted with the certificate's public key, without the gateway's code."""
    key = jwk.JWK.from_pem(certificate("rsa")["chain"].encode())
    head = json.dumps({"alg": "RSA-OAEP-256", "enc": "A128CBC-HS256"})
    token: Any = jwe.JWE(json.dumps(CLAIMS).encode(), head, recipient=key)  # pyright: ignore[reportArgumentType]
    text: str = token.serialize(compact=True)
    return text


def decrypts(text: str) -> bool:
    """Check a token that the gateway encrypted."""
    token = jwe.JWE()
    token.allowed_algs = ["RSA-OAEP-256", "A128CBC-HS256"]
    token.deserialize(text, key=jwk.JWK.from_pem(certificate("rsa")["privateKey"].encode()))
    claims = msgspec.json.decode(token.payload)
    return bool(claims["path"] == "/p" and claims["aud"] == "jwesigner")


def is_mapped(text: str) -> bool:
    """Check what a strategy made of a token."""
    claims = jwt.decode(text, SECRET * 2, ["HS512"])
    return (claims["subject"], claims["from"], "hidden" in claims) == ("jo", "jo", False)


def is_signed(text: str) -> bool:
    """Check a token that the gateway made."""
    claims = jwt.decode(text, SECRET, ["HS256"], audience="backend")
    return bool((claims["iss"], claims["path"], claims["sub"]) == ("gate", "/p", "anonymous"))


TOKENS: Final = {
    "JwtVerification": Case(
        {"verifiers": ["mapped"]},
        (
            acts("GET /", ADMIN, to_backend={"X-Token": token_in("", is_mapped)}),
            acts("GET /", ANY, USER, status=400, words=b"error.bad.token"),
            acts("GET /", ANY, FORGED, status=400, words=b"error.bad.token"),
            acts("GET /", ANY, status=400, words=b"error.expected.token.not.found"),
            left("GET /left", ADMIN),
        ),
        more={"exclude": ["/left"]},
    ),
    "JwtVerificationOnly": Case(
        {"verifier": "admins", "fail_if_absent": False},
        (
            left("GET /", ADMIN, to_backend={"Authorization": [ADMIN.partition(": ")[2]]}),
            left(),
            acts("GET /", ANY, USER, status=400, words=b"error.bad.token"),
            acts("GET /", ANY, FORGED, status=400, words=b"error.bad.token"),
        ),
    ),
    "JwtSigner": Case(
        {"verifier": "signer", "replace_if_present": False},
        (
            acts("GET /p", to_backend={"Authorization": token_in("Bearer ", is_signed)}),
            left("GET /p", USER, to_backend={"Authorization": [USER.partition(": ")[2]]}),
        ),
    ),
    "NgJwtUserExtractor": Case(
        {"verifier": "users"},
        (
            acts("GET /", bearing(name="Jo"), to_backend={"X-User": ["Jo"]}),
            acts("GET /", FORGED, status=401, words=b"You have to provide a valid user"),
            acts(status=401, words=b"You have to provide a valid user"),
            left("GET /left", bearing(name="Jo"), to_backend={"X-User": ["nobody"]}),
        ),
        more={"exclude": ["/left"]},
        after=(slot("AdditionalHeadersIn", headers={"X-User": "${user.name || nope::nobody}"}),),
    ),
    "JweSigner": Case(
        {"certId": "rsa", "source": PLACE, "payload": {"path": "${req.path}"}},
        (
            acts("GET /p", to_backend={"Authorization": token_in("Bearer ", decrypts)}),
            left("GET /left", to_backend={"Authorization": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "JweExtractor": Case(
        {
            "certId": "rsa",
            "source": PLACE,
            "forward_location": {"type": "InHeader", "name": "X-Claims", "remove": ""},
            "strict": True,
        },
        (
            acts(
                "GET /p",
                f"Authorization: Bearer {encrypted()}",
                to_backend={"X-Claims": lambda values: json.loads(values[0]) == CLAIMS},
            ),
            acts(
                "GET /p",
                f"Authorization: Bearer {encrypted()[:-4]}AAAA",
                status=401,
                words=b"invalid token",
            ),
            acts(status=400, words=b"something wrong happened"),
            left("GET /left", to_backend={"X-Claims": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "OtoroshiJWKSEndpoint": Case(
        {"cert_ids": ["rsa", "ec"]},
        (
            acts(to_backend=None, words=b'"kid":"rsa"'),
            acts(to_backend=None, words=b'"kid":"ec"'),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
}

OWN, ISSUER = shown()
DER: Final = base64.b64encode(OWN.public_bytes(Encoding.DER)).decode()
ISSUER_DER: Final = base64.b64encode(ISSUER.public_bytes(Encoding.DER)).decode()
SERIAL: Final = f"{OWN.serial_number:x}"


def client_id_of(one_: x509.Certificate) -> str:
    """Return the client id that stands for a certificate."""
    return base64.b64encode(f"{subject_of(one_)}-{one_.serial_number}".encode()).decode()


CERTIFICATES: Final = {
    "NgHasClientCertValidator": Case(
        {},
        (
            left(show="certificate"),
            acts("GET /", ANY, show="tls", status=403, words=b"forbidden"),
            acts(status=403),
        ),
    ),
    "NgHasClientCertMatchingValidator": Case(
        {"serial_numbers": ["1"], "subject_dns": [f"*{subject_of(OWN)}"]},
        (
            left(show="certificate"),
            acts("GET /", ANY, show="tls", status=403, words=b"forbidden"),
            acts(status=403),
        ),
    ),
    "NgHasClientCertMatchingApikeyValidator": Case(
        {},
        (
            left("GET /", *lines("jo"), show="certificate"),
            acts("GET /", ANY, *lines("other"), show="certificate", status=403),
            acts("GET /", ANY, *lines("jo"), show="tls", status=403, words=b"forbidden"),
            acts("GET /", show="certificate", status=403),
        ),
        before=(NO_KEYS,),
    ),
    "NgHasClientCertMatchingHttpValidator": Case(
        {"url": f"{BACKEND}/service/certificates", "timeout": 9000},
        (
            left(show="certificate"),
            acts("GET /", ANY, show="tls", status=403, words=b"forbidden"),
        ),
        services={
            "/certificates": answer(
                "Content-Type: application/json",
                body=json.dumps({"serialNumbers": [SERIAL]}).encode(),
            )
        },
    ),
    "NgCertificateAsApikey": Case(
        {"tags": ["partner"]},
        (
            acts(show="certificate", to_backend={"X-Caller": [client_id_of(OWN)]}),
            left(show="tls", to_backend={"X-Caller": ["nobody"]}),
            left(),
        ),
        after=(slot("AdditionalHeadersIn", headers={"X-Caller": "${apikey.id || nope::nobody}"}),),
    ),
    "NgClientCertChainHeader": Case(
        {"send_pem": True, "send_dns": True, "send_chain": True},
        (
            acts(
                "GET /",
                "X-Client-Cert-DNs: forged",
                show="certificate",
                to_backend={
                    "X-Client-Cert-DNs": lambda values: (
                        json.loads(values[0]) == [subject_of(OWN), subject_of(ISSUER)]
                    ),
                    "X-Client-Cert-Pem": [
                        ",".join(
                            f"-----BEGIN CERTIFICATE----- {it} -----END CERTIFICATE-----"
                            for it in (DER, ISSUER_DER)
                        )
                    ],
                    "X-Client-Cert-Chain": lambda values: (
                        json.loads(values[0])[0]["serialNumber"] == SERIAL
                    ),
                },
            ),
            left(show="tls", to_backend={"X-Client-Cert-Pem": []}),
        ),
    ),
    "NgRfc9440ClientCertHeader": Case(
        {"send_chain": True},
        (
            acts(
                "GET /",
                "Client-Cert: forged",
                show="certificate",
                to_backend={
                    "Client-Cert": [f":{DER}:"],
                    "Client-Cert-Chain": [f":{ISSUER_DER}:"],
                },
            ),
            acts("GET /", "Client-Cert: forged", to_backend={"Client-Cert": []}),
            left(to_backend={"Client-Cert": []}),
        ),
    ),
}

CASES: Final[dict[str, Case]] = KEYS | TOKENS | CERTIFICATES
"""The cases, by plugin."""
