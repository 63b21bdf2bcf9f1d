"""What the plugins do that sign and check: messages, the exchange with a backend, credentials for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from oto_trio.plugin_api.oauth1 import base_string, signature
from tests.conformance.challenge_backend import answer_to, decoded
from tests.integration.plugins.cases.case import BACKEND, NG, OK, Case, acts, answer, left
from tests.integration.plugins.cases.entities import KEY
from tests.integration.plugins.cases.headers import NO_KEYS, one
from tests.integration.plugins.cases.identity import ANY, token_in

if TYPE_CHECKING:
    from tests.conformance.http1.messages import RequestSeen

__all__ = ["CASES"]


def mac(text: str) -> str:
    """Sign a text as the HMAC plugins do."""
    return base64.b64encode(hmac.digest(b"shared", text.encode(), "sha256")).decode()


def macs(date: str, digest: str) -> tuple[str, str]:
    """Return the lines of a request signed with HMAC."""
    return (f"Date: {date}", f'X-Mac: hmac headers="Date",signature="{digest}"')


def is_mac(values: list[str]) -> bool:
    """Want credentials of the HMAC scheme, of SHA-256."""
    return bool(
        re.fullmatch(
            r'hmac algorithm="hmac-sha256", ?headers="Date", ?signature="[^"]+"', values[0]
        )
    )


BODY: Final = b'{"n":1}'


ISSUER: Final = Ed25519PrivateKey.generate()


def key_set() -> bytes:
    """Return the key set of somebody who signs with `ISSUER`."""
    raw = ISSUER.public_key().public_bytes_raw()
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    key = {"kty": "OKP", "crv": "Ed25519", "kid": "published", "x": x}
    return json.dumps({"keys": [key]}).encode()


def message_signature(body: bytes, path: str = "/orders", keyid: str = "k") -> tuple[str, ...]:
    """Sign a POST as RFC 9421 says, without the gateway's code: with the secret, or as `ISSUER`."""
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    covered = '("@method" "@path" "content-digest")'
    parameters = f'{covered};created={int(datetime.now(UTC).timestamp())};keyid="{keyid}"'
    base = (
        f'"@method": POST\n"@path": {path}\n"content-digest": {digest}\n'
        f'"@signature-params": {parameters}'
    )
    made = (
        hmac.digest(b"shared", base.encode(), "sha256")
        if keyid == "k"
        else ISSUER.sign(base.encode())
    )
    signed = base64.b64encode(made).decode()
    return (
        f"Content-Digest: {digest}",
        f"Signature-Input: s={parameters}",
        f"Signature: s=:{signed}:",
    )


def is_signed(values: list[str]) -> bool:
    """Want a signature of `{"n":1}` with its type and the request's secret field, by the secret."""
    (signature,) = values
    return signature == _wanted_signature()


def _wanted_signature() -> str:
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    base = (
        '"@status": 200\n"content-type": application/json\n'
        f'"content-digest": sha-256=:{digest}:\n"x-asked";req: as sent\n'
        f'"@signature-params": {SIGNED_PARAMETERS}'
    )
    made = hmac.digest(b"shared", base.encode(), "sha256")
    return f"s=:{base64.b64encode(made).decode()}:"


SIGNED_PARAMETERS: Final = (
    '("@status" "content-type" "content-digest" "x-asked";req);keyid="k";alg="hmac-sha256";tag="t"'
)


def is_oauth1(request: RequestSeen) -> bytes:
    """Answer as a backend that checks an OAuth 1 signature."""
    (sent,) = request.values(b"authorization") or [b""]
    found = {k: unquote(v) for k, v in re.findall(r'(\w+)="([^"]*)"', sent.decode())}
    signed = found.pop("oauth_signature", "")
    (host,) = request.values(b"host")
    url = f"http://{host.decode()}{request.target.decode()}"
    text = base_string("GET", url, list(found.items()))
    is_right = signed == signature("HMAC-SHA1", text, "cs", "ts")
    return answer("X-Signature: right" if is_right else "X-Signature: wrong")


def knows_the_gateway(request: RequestSeen) -> bytes:
    """Answer a challenge."""
    (asked,) = request.values(b"otoroshi-state") or [b""]
    if not asked:
        return OK
    now = int(datetime.now(UTC).timestamp())
    return answer(*(f"{n}: {v}" for n, v in answer_to(asked.decode(), now, "right")))


CASES: Final[dict[str, Case]] = {
    "HMACValidator": Case(
        {"secret": "shared", "authorizationHeader": "X-Mac"},
        (
            left("GET /", *macs("today", mac("today"))),
            acts("GET /", *macs("tomorrow", mac("today")), status=400, exactly=b""),
            acts(status=400, exactly=b""),
        ),
    ),
    "HMACCaller": Case(
        {"secret": "shared", "algo": "HMAC-SHA256"},
        (
            acts(to_backend={"Authorization": is_mac, "Date": one(r"\d{13}")}),
            left("GET /left", to_backend={"Authorization": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "BasicAuthCaller": Case(
        {"username": "u", "password": "p"},
        (
            acts("GET /", "Authorization: mine", to_backend={"Authorization": ["Basic dTpw"]}),
            left("GET /left", "Authorization: mine", to_backend={"Authorization": ["mine"]}),
        ),
        more={"exclude": ["/left"]},
    ),
    "OAuth1Caller": Case(
        {
            "consumerKey": "ck",
            "consumerSecret": "cs",
            "token": "t",
            "tokenSecret": "ts",
            "algo": "HMAC-SHA1",
        },
        (
            acts("GET /p?q=1", answered=is_oauth1, to_client={"X-Signature": ["right"]}),
            left("GET /left", answered=is_oauth1, to_client={"X-Signature": ["wrong"]}),
        ),
        more={"exclude": ["/left"]},
    ),
    "OAuth2Caller": Case(
        {"url": f"{BACKEND}/service/token", "clientId": "c", "clientSecret": "s"},
        (
            acts("GET /", "Authorization: x", to_backend={"Authorization": ["Bearer given"]}),
            left("GET /left", "Authorization: x", to_backend={"Authorization": ["x"]}),
        ),
        more={"exclude": ["/left"]},
        services={
            "/token": answer(
                "Content-Type: application/json",
                body=b'{"access_token":"given","token_type":"Bearer","expires_in":600}',
            )
        },
    ),
    "HttpSignatureVerifyRequest": Case(
        {
            "keys": [
                {"kind": "inline", "keyid": "k", "secret_or_pem": "shared"},
                {"kind": "jwks", "url": f"{BACKEND}/service/keys"},
            ],
            "required_components": ["@method", "@path", "content-digest"],
            "mandatory": True,
            # The requests are signed when the table is made, which may be long before they are sent.
            "max_age_seconds": 7200,
        },
        (
            left("POST /orders", *message_signature(BODY), body=BODY, got=BODY),
            left("POST /orders", *message_signature(BODY, keyid="published"), body=BODY, got=BODY),
            acts(
                "POST /others",
                *message_signature(BODY, keyid="published"),
                body=BODY,
                status=401,
                words=b"no matching key",
            ),
            acts(
                "POST /orders",
                *message_signature(BODY, keyid="unknown"),
                body=BODY,
                status=401,
                words=b"no key configured for keyid 'unknown'",
            ),
            acts(
                "POST /orders",
                *message_signature(BODY),
                body=b'{"n":2}',
                status=401,
                words=b"content-digest verification failed",
            ),
            acts(
                "POST /others",
                *message_signature(BODY),
                body=BODY,
                status=401,
                words=b"no matching key",
            ),
            acts(
                "POST /orders",
                body=BODY,
                status=401,
                words=b"missing Signature-Input or Signature header",
            ),
        ),
        services={"/keys": answer("Content-Type: application/json", body=key_set())},
    ),
    "HttpSignatureSignResponse": Case(
        {
            "key": {"kind": "inline", "secret_or_pem": "shared"},
            "algorithm": "HMAC-SHA256",
            "keyid": "k",
            "signature_label": "s",
            "components": ["@status", "content-type", "content-digest", "x-asked;req"],
            "expires_in_seconds": None,
            "include_created": False,
            "tag": "t",
        },
        (
            acts(
                "GET /",
                "X-Asked: as sent",
                answered=answer("Content-Type: application/json", body=BODY),
                exactly=BODY,
                to_client={
                    "Content-Digest": lambda values: values[0].startswith("sha-256=:"),
                    "Signature-Input": [f"s={SIGNED_PARAMETERS}"],
                    "Signature": is_signed,
                },
            ),
            acts(
                "GET /",
                "X-Asked: as sent",
                answered=(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSignature: a=:AAAA:\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n3\r\n"
                    + BODY[:3]
                    + b"\r\n4\r\n"
                    + BODY[3:]
                    + b"\r\n0\r\n\r\n"
                ),
                exactly=BODY,
                to_client={"Signature": lambda values: values[0].startswith("a=:AAAA:, s=:")},
            ),
            left("GET /", answered=answer(body=BODY), to_client={"Signature": []}),
        ),
        after=({"plugin": f"{NG}RemoveHeadersIn", "config": {"header_names": ["X-Asked"]}},),
    ),
    "OtoroshiChallenge": Case(
        {},
        (
            acts(
                "GET /",
                "Otoroshi-State: forged",
                answered=knows_the_gateway,
                to_backend={
                    "Otoroshi-State": token_in(
                        "", lambda text: decoded(text)["aud"] == "otoroshichallenge"
                    )
                },
            ),
            acts(
                "GET /",
                ANY,
                status=502,
                words=b"Backend server does not seems to be secured",
                to_backend={},
            ),
            left("GET /left", to_backend={"Otoroshi-State": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "OtoroshiInfos": Case(
        {"ttl": 20},
        (
            acts(
                "GET /",
                *KEY,
                "Otoroshi-Claim: forged",
                to_backend={
                    "Otoroshi-Claim": token_in(
                        "",
                        lambda text: (
                            (
                                decoded(text)["apikey"]["clientId"],
                                decoded(text)["access_type"],
                            )
                            == ("good", "apikey")
                        ),
                    )
                },
            ),
            acts(
                to_backend={
                    "Otoroshi-Claim": token_in(
                        "", lambda text: decoded(text)["access_type"] == "public"
                    )
                }
            ),
            left("GET /left", to_backend={"Otoroshi-Claim": []}),
        ),
        before=(NO_KEYS,),
        more={"exclude": ["/left"]},
    ),
}
"""The cases, by plugin."""
