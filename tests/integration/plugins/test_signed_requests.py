"""Requests that are signed, from the client's side and to the backend, through a whole gateway."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
import trio

from oto_trio.plugin_api.oauth1 import base_string, signature
from oto_trio.testing.gateway_process import gateway_process
from tests.conformance.challenge_backend import decoded
from tests.conformance.http1.upstream import Recorder, Upstream
from tests.integration.clients import GUARD_S, Answer, Connection, admin, route

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.http1.messages import RequestSeen

pytestmark = pytest.mark.slow

NG = "cp:otoroshi.next.plugins."
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
SECRET = b"a shared secret"
VERIFY = {
    "keys": [{"kind": "inline", "keyid": "k", "secret_or_pem": SECRET.decode()}],
    "required_components": ["@method", "@authority", "@path", "content-digest"],
    "mandatory": True,
}
OAUTH1 = {
    "consumerKey": "key",
    "consumerSecret": "secret",
    "token": "token",
    "tokenSecret": "more",
    "algo": "HMAC-SHA1",
}


def message_signature(host: str, body: bytes) -> dict[str, str]:
    """Sign a POST to `/orders` as RFC 9421 says, without the engine's code."""
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    covered = '("@method" "@authority" "@path" "content-digest")'
    parameters = f'{covered};created={int(datetime.now(UTC).timestamp())};keyid="k"'
    base = (
        f'"@method": POST\n"@authority": {host}\n"@path": /orders\n'
        f'"content-digest": {digest}\n"@signature-params": {parameters}'
    )
    signed = base64.b64encode(hmac.digest(SECRET, base.encode(), "sha256")).decode()
    return {
        "Content-Digest": digest,
        "Signature-Input": f"s={parameters}",
        "Signature": f"s=:{signed}:",
    }


async def post(port: int, host: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Send a form on a connection of its own."""
    fields = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with trio.fail_after(GUARD_S):
        async with await Connection.open(port) as connection:
            head = f"POST /orders?a=b HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"
            await connection.send(head.encode() + body)
            return await connection.answer()


def value_of(request: RequestSeen, name: str) -> str:
    (value,) = request.values(name.lower().encode())
    return value.decode()


async def test_signatures_open_and_close_the_way(tmp_path: Path) -> None:
    upstream = await Upstream.open()
    recorder = Recorder(upstream)
    url = f"http://127.0.0.1:{upstream.port}"
    slots: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "signed": [("HttpSignatureVerifyRequest", VERIFY), ("OtoroshiInfos", {"ttl": 30})],
        "oauth": [("OAuth1Caller", OAUTH1)],
    }
    async with (
        trio.open_nursery() as nursery,
        gateway_process("--workers", "1", data=tmp_path) as gateway,
        admin(gateway) as api,
    ):
        nursery.start_soon(recorder.run)
        for name, plugins in slots.items():
            listed = [{"plugin": NG + plugin, "config": config} for plugin, config in plugins]
            document = route(name, url, plugins=listed)
            answer = await api.post(f"{ROUTES}/{name}", params={"wait": "applied"}, json=document)
            assert answer.status_code in {200, 201}, answer.text

        good = message_signature("signed.test", b"c=d")
        forged = {"Otoroshi-Claim": "mine"}
        accepted = await post(gateway.port, "signed.test", b"c=d", good | forged)
        assert accepted.status == 200, accepted.body
        (seen,) = recorder.requests
        assert seen.body == b"c=d", "what was read to be checked is sent on"
        claims = decoded(value_of(seen, "Otoroshi-Claim"))
        told = (claims["sub"], claims["aud"], claims["access_type"])
        assert told == ("public", "signed", "public")
        assert claims["exp"] - claims["iat"] == 30
        for body, headers, words in (
            (b"c=e", good, b"content-digest verification failed"),
            (b"c=d", message_signature("other.test", b"c=d"), b"no matching key"),
            (b"c=d", {}, b"missing Signature-Input or Signature header"),
        ):
            refused = await post(gateway.port, "signed.test", body, headers)
            assert (refused.status, words in refused.body) == (401, True), refused.body
        assert len(recorder.requests) == 1

        assert (await post(gateway.port, "oauth.test", b"c=d+e", {})).status == 200
        seen = recorder.requests[-1]
        assert seen.body == b"c=d+e"
        sent = value_of(seen, "Authorization")
        found = {name: unquote(text) for name, text in re.findall(r'(\w+)="([^"]*)"', sent)}
        signed = found.pop("oauth_signature")
        # What the backend sees: its own target behind the Host that it got.
        seen_url = f"http://{value_of(seen, 'Host')}{seen.target.decode()}"
        text = base_string("POST", seen_url, [*found.items(), ("c", "d e")])
        assert signed == signature("HMAC-SHA1", text, "secret", "more")
        assert seen.target == b"/orders?a=b"
        secrets = (SECRET.decode(), "more&")
        assert not [line for line in gateway.log if any(word in str(line) for word in secrets)]
        nursery.cancel_scope.cancel()
    await upstream.close()


async def test_a_request_that_is_refused_for_its_token_goes_again_with_another(
    tmp_path: Path,
) -> None:
    upstream = await Upstream.open()
    tokens = iter(("first", "second"))

    def answer(request: RequestSeen) -> bytes:
        if request.target == b"/token":
            return answering(b'{"access_token":"%s"}' % next(tokens).encode())
        is_good = request.values(b"authorization") == [b"Bearer second"]
        return answering(b"welcome" if is_good else b"go away", 200 if is_good else 401)

    recorder = Recorder(upstream, answer)
    url = f"http://127.0.0.1:{upstream.port}"
    plugins = [{"plugin": f"{NG}OAuth2Caller", "config": {"url": f"{url}/token"}}]
    document = route("again", url, plugins=plugins)
    document["backend"]["client"] = {"retries": 2}
    async with (
        trio.open_nursery() as nursery,
        gateway_process("--workers", "1", data=tmp_path) as gateway,
        admin(gateway) as api,
    ):
        nursery.start_soon(recorder.run)
        made = await api.post(f"{ROUTES}/again", params={"wait": "applied"}, json=document)
        assert made.status_code in {200, 201}, made.text
        with trio.fail_after(GUARD_S):
            async with await Connection.open(gateway.port) as connection:
                await connection.send(b"GET /orders HTTP/1.1\r\nHost: again.test\r\n\r\n")
                accepted = await connection.answer()
        assert (accepted.status, accepted.body) == (200, b"welcome")
        sent = [
            value_of(seen, "Authorization")
            for seen in recorder.requests[1:]
            if seen.target == b"/orders"
        ]
        assert sent == ["Bearer first", "Bearer second"]
        nursery.cancel_scope.cancel()
    await upstream.close()


def answering(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
