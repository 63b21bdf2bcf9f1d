"""What is answered where no route takes the request: the sinks of the global config, over real sockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.plugins.api_keys import METHODS, basic, key, protected
from tests.integration.plugins.test_api_keys import APPLIED, KEYS, ROUTES, SECRET, WRONG, running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream
    from tests.integration.plugins.test_api_keys import Gateway

pytestmark = pytest.mark.slow

OAUTH = "/.well-known/otoroshi/oauth"
PLUGIN = "cp:otoroshi.next.plugins.NgClientCredentials"
SINK = '''
from oto_trio.plugin_api import Exchange, Plugin, Response


class Mirror(Plugin):
    """Answers paths below /mirror where no route takes the request."""

    id = "cp:test.Mirror"
    name = "Mirror"
    description = "Answers."
    categories = ("Other",)

    def sink(self, exchange: Exchange) -> Response | None:
        path = exchange.request.path
        return Response(218, (), path.encode()) if path.startswith("/mirror") else None
'''


async def sinks(gateway: Gateway, *slots: dict[str, Any]) -> None:
    """Make these the global slots."""
    (config,) = (await gateway.api.get("/apis/config.otoroshi.io/v1/global-configs")).json()
    config["plugins"]["config"]["ng"] = list(slots)
    url = "/apis/config.otoroshi.io/v1/global-configs/global"
    answer = await gateway.api.put(url, params=APPLIED, json=config)
    assert answer.status_code == 200, answer.text


async def grant(gateway: Gateway, host: str = "nowhere.test", **fields: str) -> tuple[int, Any]:
    """Ask for a token."""
    data = {"grant_type": "client_credentials", "client_id": "c", "client_secret": SECRET}
    answer = await gateway.client.post(
        f"{OAUTH}/token", headers={"Host": host}, data={**data, **fields}
    )
    return answer.status_code, answer.json()


async def test_clients_get_tokens_where_no_route_is(tmp_path: Path, upstream: Upstream) -> None:
    async with running(tmp_path) as gateway:
        await gateway.store(ROUTES, protected("keys", upstream.url))
        await gateway.store(KEYS, key("c", SECRET, metadata={"scope": "read"}))
        absent = (404, {"Otoroshi-Error": "no route found !"})
        assert await grant(gateway) == absent
        await sinks(gateway, {"plugin": PLUGIN, "config": {"secure": False}})
        status, answer = await grant(gateway)
        assert status == 200, answer
        token = answer["access_token"]
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
        headers = {"Host": "keys.test", "Authorization": f"Bearer {token}"}
        assert (await gateway.client.get("/a", headers=headers)).status_code == 200

        # RFC 6749 §2.3.1: id and secret may come as basic credentials.
        answer = await gateway.client.post(
            f"{OAUTH}/token",
            headers={"Host": "x", "Authorization": f"Basic {basic('c', SECRET)}"},
            json={"grant_type": "client_credentials", "scope": "read"},
        )
        assert (answer.status_code, answer.json()["scope"]) == (200, "read")
        bad = {"error": "access_denied", "error_description": "Bad client credentials"}
        for fields in ({"client_secret": WRONG}, {"client_id": "nobody"}):
            assert await grant(gateway, **fields) == (401, bad)
        refused = "Client has not been granted scopes: write"
        denied = {"error": "access_denied", "error_description": refused}
        assert await grant(gateway, scope="write") == (403, denied)
        status, answer = await grant(gateway, grant_type="password")
        assert (status, answer["error"]) == (400, "unauthorized_client")

        for text, status in ((token, 200), (token[:-4] + "AAAA", 401), ("a.b.c", 401)):
            answer = await gateway.client.post(
                f"{OAUTH}/token/introspect", headers={"Host": "x"}, json={"token": text}
            )
            assert answer.status_code == status
            assert answer.json().get("clientId") == ("c" if status == 200 else None)
        keys = await gateway.client.get(f"{OAUTH}/jwks.json", headers={"Host": "x"})
        assert (keys.status_code, list(keys.json())) == (200, ["keys"])
        other = await gateway.client.get(f"{OAUTH}/other", headers={"Host": "x"})
        assert (other.status_code, other.json()["error"]) == (404, "not_found")
        # A route keeps what is its own, and what is nobody's is answered as ever.
        status, answer = await grant(gateway, host="keys.test")
        assert (status, answer) == (400, {"Otoroshi-Error": "no apikey"})
        missing = await gateway.client.get(
            "/a", headers={"Host": "nowhere.test", "Accept": "application/json"}
        )
        assert (missing.status_code, missing.json()) == absent

        await sinks(gateway, {"plugin": PLUGIN, "config": {"domain": "auth.test"}})
        assert await grant(gateway) == absent
        insecure = {"error": "bad_request", "error_description": "use a secure channel"}
        assert await grant(gateway, host="auth.test") == (400, insecure)
        await sinks(gateway)
        assert await grant(gateway, host="auth.test") == absent
        assert SECRET not in json.dumps(gateway.process.log)


async def test_sinks_are_asked_in_their_order_and_no_route_is_disturbed(
    tmp_path: Path, upstream: Upstream
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "mirror.py").write_text(SINK)
    async with running(tmp_path) as gateway:
        await gateway.store(ROUTES, protected("keys", upstream.url))
        await gateway.store(KEYS, key("c", SECRET))
        await sinks(
            gateway,
            {"plugin": PLUGIN, "config": {"secure": False}},
            {"plugin": "cp:test.Mirror", "exclude": ["/mirror/not"]},
        )
        for path, status in (("/mirror/a", 218), ("/mirror/not", 404), ("/else", 404)):
            answer = await gateway.client.get(path, headers={"Host": "nowhere.test"})
            assert answer.status_code == status, path
        shown = METHODS["custom_headers"]("c", SECRET)
        headers = {"Host": "keys.test", **shown.headers}
        assert (await gateway.client.get("/mirror/a", headers=headers)).status_code == 200
        live = await gateway.client.get("/.well-known/otoroshi/monitoring/live")
        assert live.status_code == 200
