"""Tokens checked, signed and transformed by a whole gateway, over real sockets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt
import msgspec
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import Answer, Connection, admin, eventually, route

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from oto_trio.testing.gateway_process import GatewayProcess
    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

NG = "cp:otoroshi.next.plugins."
APPLIED = {"wait": "applied"}
SECRET = "a secret that is long enough for the library, and then some more of it"


def verifier(name: str, **parts: Any) -> dict[str, Any]:
    """Make a verifier that reads ``Authorization: Bearer …``."""
    return {
        "id": name,
        "name": name,
        "strict": True,
        "source": {"type": "InHeader", "name": "Authorization", "remove": "Bearer "},
        "algoSettings": {"type": "HSAlgoSettings", "size": 256, "secret": SECRET},
        "strategy": {"type": "PassThrough", "verificationSettings": {}},
        **parts,
    }


def plugins(*slots: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"plugin": NG + name, "config": config} for name, config in slots]


async def put(api: httpx.AsyncClient, path: str, document: dict[str, Any]) -> None:
    """Create an entity, and wait until it is served."""
    answer = await api.post(f"/apis/{path}/{document['id']}", params=APPLIED, json=document)
    assert answer.status_code in {200, 201}, answer.text


async def put_verifier(api: httpx.AsyncClient, document: dict[str, Any]) -> None:
    await put(api, "security.otoroshi.io/v1/jwt-verifiers", document)


async def put_route(api: httpx.AsyncClient, document: dict[str, Any]) -> None:
    await put(api, "proxy.otoroshi.io/v1/routes", document)


async def call(gateway: GatewayProcess, host: str, token: str | None) -> tuple[int, str]:
    """Ask with a token; status and message."""
    answer = await whole(gateway, host, token)
    return answer.status, answer.headers.get("otoroshi-error-msg", "")


async def whole(gateway: GatewayProcess, host: str, token: str | None) -> Answer:
    async with await Connection.open(gateway.port) as connection:
        line = "" if token is None else f"Authorization: Bearer {token}\r\n"
        await connection.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n{line}\r\n".encode())
        return await connection.answer()


def sent(upstream: Upstream) -> str:
    """Return the token that the backend got last."""
    lines = upstream.heads[-1].decode().split("\r\n")
    (value,) = [line for line in lines if line.lower().startswith("authorization:")]
    return value.split(":", 1)[1].strip().removeprefix("Bearer ")


async def test_a_route_takes_only_good_tokens_and_hands_on_what_the_strategy_makes_of_them(
    upstream: Upstream, tmp_path: Path
) -> None:
    now = int(datetime.now(tz=UTC).timestamp())
    transform = {
        "type": "Transform",
        "verificationSettings": {"fields": {"role": "Regex(adm.*)"}},
        "transformSettings": {
            "location": {"type": "InHeader", "name": "Authorization", "remove": "Bearer "},
            "mappingSettings": {
                "map": {"sub": "subject"},
                "values": {"from": "${in_jwt.sub}"},
                "remove": ["secret"],
            },
        },
        "algoSettings": {"type": "HSAlgoSettings", "size": 512, "secret": SECRET * 2},
    }
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put_verifier(api, verifier("v", strategy=transform))
        slots = plugins(("JwtVerification", {"verifiers": ["v"]}))
        await put_route(api, route("a", upstream.url, plugins=slots))
        good = {"sub": "jo", "role": "admin", "secret": 1, "exp": now + 3600}
        token = jwt.encode(good, SECRET, "HS256")
        assert await call(gateway, "a.test", token) == (200, "")
        claims = jwt.decode(sent(upstream), SECRET * 2, ["HS512"])
        assert claims == {"subject": "jo", "from": "jo", "role": "admin", "exp": now + 3600}
        bad = (400, "error.bad.token")
        for wrong in (
            jwt.encode(good, SECRET + "x", "HS256"),
            jwt.encode(good, SECRET, "HS512"),
            jwt.encode({**good, "exp": now - 60}, SECRET, "HS256"),
            jwt.encode({**good, "role": "user"}, SECRET, "HS256"),
            jwt.encode(good, "", "none"),
            token[:-2],
        ):
            assert await call(gateway, "a.test", wrong) == bad
        assert await call(gateway, "a.test", None) == (400, "error.expected.token.not.found")
        # What is deleted verifies nothing more.
        await api.delete("/apis/security.otoroshi.io/v1/jwt-verifiers/v", params=APPLIED)
        assert await call(gateway, "a.test", token) == (500, "error.bad.globaljwtverifier.id")


async def test_a_key_set_is_fetched_once_for_many_and_again_for_a_new_key(
    upstream: Upstream, tmp_path: Path
) -> None:
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("one", "two")}
    shown = ["one"]
    calls: list[bytes] = []

    def answer(head: bytes) -> tuple[int, bytes]:
        if not head.startswith(b"GET /jwks "):
            return 200, b"ok"
        calls.append(head)
        jwks: list[dict[str, Any]] = []
        for name in shown:
            shape = dict[str, Any]
            jwk = msgspec.json.decode(ECAlgorithm.to_jwk(keys[name].public_key()), type=shape)
            jwks.append({**jwk, "kid": name, "use": "sig"})
        return 200, msgspec.json.encode({"keys": jwks})

    def token(name: str, key: str | None = None) -> str:
        return jwt.encode({"sub": "jo"}, keys[key or name], "ES256", headers={"kid": name})

    upstream.answer = answer
    algorithm = {
        "type": "JWKSAlgoSettings",
        "url": f"{upstream.url}/jwks",
        "headers": {"X-For": "keys"},
        "timeout": 30_000,
        "ttl": 3_600_000,
        "kty": "EC",
    }
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put_verifier(api, verifier("v", algoSettings=algorithm))
        slots = plugins(("JwtVerificationOnly", {"verifier": "v"}))
        await put_route(api, route("a", upstream.url, plugins=slots))
        outcomes: list[tuple[int, str]] = []
        upstream.gate = trio.Event()

        async def one_call() -> None:
            outcomes.append(await call(gateway, "a.test", token("one")))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one_call)
            await upstream.arrived.wait()
            upstream.gate.set()
        upstream.gate = None
        assert outcomes == [(200, "")] * 20
        assert len(calls) == 1
        assert b"X-For: keys" in calls[0]
        # Another's key under a known id is no reason to ask again; nor is an id that nobody has.
        assert await call(gateway, "a.test", token("one", "two")) == (400, "error.bad.token")
        no_key = (400, "error.bad.input.algorithm.name")
        assert await call(gateway, "a.test", token("two")) == no_key
        assert len(calls) == 1
        shown.append("two")

        async def is_known() -> bool:
            return await call(gateway, "a.test", token("two")) == (200, "")

        await eventually(is_known)  # ten seconds at most after the last call
        assert len(calls) == 2


async def test_an_issuer_that_fails_refuses_the_token_and_is_left_alone_for_a_while(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.answer = lambda head: (503, b"no")
    algorithm = {"type": "JWKSAlgoSettings", "url": f"{upstream.url}/jwks", "kty": "EC"}
    key = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode({}, key, "ES256", headers={"kid": "k"})
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put_verifier(api, verifier("v", algoSettings=algorithm))
        slots = plugins(("JwtVerification", {"verifiers": ["v"]}))
        await put_route(api, route("a", upstream.url, plugins=slots))
        for _ in range(3):
            refused = await call(gateway, "a.test", token)
            assert refused == (400, "error.bad.input.algorithm.name")
        assert len(upstream.heads) == 1


async def test_the_signer_gives_the_backend_a_token_of_the_gateways(
    upstream: Upstream, tmp_path: Path
) -> None:
    strategy = {"type": "DefaultToken", "token": {"iss": "gate", "path": "${req.path}"}}
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put_verifier(api, verifier("v", strategy=strategy))
        slots = plugins(("JwtSigner", {"verifier": "v"}))
        await put_route(api, route("a", upstream.url, plugins=slots))
        assert await call(gateway, "a.test", None) == (200, "")
        claims = jwt.decode(sent(upstream), SECRET, ["HS256"], audience="backend")
        assert (claims["iss"], claims["sub"], claims["path"]) == ("gate", "anonymous", "/")
        assert abs(claims["exp"] - claims["iat"]) == 60
