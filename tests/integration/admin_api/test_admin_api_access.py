"""Who may use the admin API, how it refuses, and the probes that are open to all."""

from __future__ import annotations

import base64

import httpx

from oto_trio.control.admin_api.gateway_control import GatewayHealth
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import serving_admin_api

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"


async def test_everything_but_probes_needs_the_key(served: Served) -> None:
    paths = ["/", ROUTES, "/api/routes", "/apis/entities", "/none", "/api/globalconfig", "/healthz"]
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        for path in paths:
            for verb in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                answer = await stranger.request(verb, path)
                assert answer.status_code == 400, (verb, path)
                assert answer.json() == {
                    "error": "errors.no.api.key",
                    "error_description": "no apikey",
                }
                assert answer.headers["Otoroshi-Error"] == "true"
                assert answer.headers["Otoroshi-Error-Msg"] == "no apikey"
                assert answer.headers["Otoroshi-Error-Cause"] == "errors.no.api.key"
    assert served.store.revision == 1


async def test_keys_that_are_wrong(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        bad = await stranger.get(ROUTES, auth=(DEV_CREDENTIALS.client_id, "wrong"))
        assert (bad.status_code, bad.json()["error"]) == (401, "errors.bad.api.key")
        unknown = await stranger.get(ROUTES, auth=("someone", DEV_CREDENTIALS.client_secret))
        assert (unknown.status_code, unknown.json()["error"]) == (
            400,
            "errors.invalid.api.key.tuple",
        )
        page = await stranger.get(ROUTES, headers={"Accept": "text/html"})
        assert page.status_code == 400
        assert page.headers["content-type"].startswith("text/html")
        assert "no apikey" in page.text


async def test_the_key_comes_in_two_headers_or_without_padding(served: Served) -> None:
    pair = f"{DEV_CREDENTIALS.client_id}:{DEV_CREDENTIALS.client_secret}".encode()
    ways = [
        {"Authorization": "Basic " + base64.b64encode(pair).decode().rstrip("=")},
        {"Otoroshi-Authorization": "Basic " + base64.urlsafe_b64encode(pair).decode()},
        {
            "Otoroshi-Client-Id": DEV_CREDENTIALS.client_id,
            "Otoroshi-Client-Secret": DEV_CREDENTIALS.client_secret,
        },
    ]
    async with httpx.AsyncClient(base_url=served.server.url) as client:
        for headers in ways:
            assert (await client.get(ROUTES, headers=headers)).status_code == 200


async def test_the_state_header_is_echoed_on_every_answer(served: Served) -> None:
    for path in (ROUTES, "/none", "/health"):
        with_state = await served.call("GET", path, headers={"Otoroshi-State": "abc"})
        assert with_state.headers["Otoroshi-State-Resp"] == "abc"
        assert (await served.call("GET", path)).headers["Otoroshi-State-Resp"] == "--"


async def test_an_unknown_path_and_an_unknown_verb(served: Served) -> None:
    unknown = await served.call("GET", "/api/nothing?x=<script>")
    assert unknown.status_code == 404
    assert unknown.json() == {
        "error": "errors.client.error",
        "error_description": "Client Error: an error occurred on /api/nothing (404)",
    }
    verb = await served.call("PUT", ROUTES, {})
    assert verb.status_code == 405
    assert "POST" in verb.headers["Allow"]


async def test_a_closed_store_is_503_and_tells_nothing_secret(served: Served) -> None:
    await served.store.aclose()
    answer = await served.call("GET", ROUTES)
    assert answer.status_code == 503
    assert answer.json()["error"] == "errors.store.closed"
    health = await served.call("GET", "/health")
    assert health.status_code == 503
    assert health.json()["datastore"] == "unreachable"


async def test_probes_need_no_key(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        for start in ("/", "/.well-known/otoroshi/monitoring/"):
            health = await stranger.get(f"{start}health")
            assert health.status_code == 200
            assert health.json()["otoroshi"] == "healthy"
            assert health.json()["datastore"] == "healthy"
            assert set(health.json()) == {
                "otoroshi",
                "datastore",
                "proxy",
                "storage",
                "eventstore",
                "certificates",
                "scripts",
            }
            assert (await stranger.get(f"{start}live")).json() == {"live": True}
            assert (await stranger.get(f"{start}ready")).json() == {"ready": True}
            assert (await stranger.get(f"{start}startup")).json() == {"started": True}
            metrics = await stranger.get(f"{start}metrics")
            names = {m["name"]: m for m in metrics.json()}
            assert names["otoroshi.requests.total"]["count"] == 3
            text = await stranger.get(f"{start}metrics?format=prometheus")
            assert "otoroshi_requests_total 3\n" in text.text


async def test_a_gateway_that_is_not_ready_says_503(served: Served) -> None:
    served.gateway.state = GatewayHealth(is_started=False, is_ready=False)
    for name, body in (("ready", {"ready": False}), ("startup", {"started": False})):
        answer = await served.call("GET", f"/{name}")
        assert (answer.status_code, answer.json()) == (503, body)
    assert (await served.call("GET", "/health")).status_code == 503
    assert (await served.call("GET", "/live")).status_code == 200


async def test_probes_ask_for_their_access_key() -> None:
    async with serving_admin_api(health_access_key="sesame", metrics_access_key="open") as served:
        for path, key in (("/health", "sesame"), ("/ready", "sesame"), ("/metrics", "open")):
            refused = await served.call("GET", path)
            assert (refused.status_code, refused.json()) == (401, {"error": "unauthorized"})
            for name in ("access_key", "X-Access-Key"):
                assert (await served.call("GET", f"{path}?{name}={key}")).status_code == 200
