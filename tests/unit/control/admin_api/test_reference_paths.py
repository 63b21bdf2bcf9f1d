"""Every path of Otoroshi's admin API is served here, or docs/gaps.md says that it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Match, Route

from oto_trio.control.admin_api import build_app
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.store import MemoryStore
from oto_trio.testing.fake_gateway import FakeGatewayControl
from tests.unit.control.admin_api.reference_paths import PATHS

GAPS = Path(__file__).parents[4] / "docs" / "gaps.md"

NAMED: dict[str, str] = {
    # Start of a path that is not served → how docs/gaps.md names it.
    "/apis/workflows/doc": "`/apis/workflows/doc`",
    "/apis/proxy.otoroshi.io/v1/drafts/x/live": "`/apis/proxy.otoroshi.io/v1/drafts/<id>/live`",
    "/apis/apis.otoroshi.io/v1/apis/": "`/apis/apis.otoroshi.io/v1/apis/<id>`",
    "/apis/extensions/": "`/apis/extensions/…`",
    "/api/extensions/": "`/api/extensions/…`",
    "/api/route-compositions/_openapi": "`/api/route-compositions/_openapi`",
    "/api/auths/x/register/": "`/api/auths/<id>/register/…`",
    "/api/scripts/_list": "`/api/scripts/_list`",
    "/api/scripts/_compile": "`/api/scripts/_compile`",
    "/api/services/x/canary": "`/api/services/<id>/canary`",
    "/api/services/x/health": "`/api/services/<id>/health`",
    "/api/snowmonkey/": "`/api/snowmonkey/…`",
    "/api/forms": "`/api/forms`",
    "/api/experimental/": "`/api/experimental/…`",
    "/api/admins/webauthn": "`POST /api/admins/webauthn`",
    "/api/privateapps/": "`/api/privateapps/…`",
    "/api/events/_template": "`/api/events/_template`",
    "/api/node/eventstream": "`/api/node/eventstream`",
    "/api/analytics/": "`/api/analytics/…`",
}


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    anything: Any = _Anything()
    app = build_app(
        MemoryStore(), [DEV_CREDENTIALS], FakeGatewayControl(), limits=anything, trail=anything
    )
    return [route for route in app.routes if isinstance(route, Route)]


class _Anything:
    """Stands in for what is only asked once a request comes."""

    def __getattr__(self, name: str) -> Any:
        return _Anything()


def is_served(routes: list[Route], verb: str, path: str) -> bool:
    """Tell whether a path is served as itself, not as an entity whose id is the rest of the path."""
    scope = {"type": "http", "method": verb, "path": path, "root_path": ""}
    for route in routes:
        if route.matches(scope)[0] is Match.FULL:
            _, found = route.matches(scope)
            names = found.get("path_params", {})
            ids = [str(value) for value in names.values()]
            generic = route.path.startswith("/apis/{")
            return not any("/" in each or each.startswith("_") for each in ids) and not (
                generic and path.startswith(("/apis/extensions", "/apis/cluster"))
            )
    return False


def named(path: str) -> str | None:
    """Return how docs/gaps.md names a path that is not served."""
    starts = [start for start in NAMED if path.startswith(start)]
    return NAMED[max(starts, key=len)] if starts else None


@pytest.mark.parametrize(("verb", "path"), PATHS)
def test_a_path_of_otoroshi_is_served_or_told_to_be_missing(
    routes: list[Route], verb: str, path: str
) -> None:
    if is_served(routes, verb, path):
        return
    words = named(path)
    assert words is not None, "serve it, or name it in docs/gaps.md and here"
    assert words in GAPS.read_text(), f"docs/gaps.md does not name {words}"


def test_nothing_is_told_to_be_missing_that_is_served(routes: list[Route]) -> None:
    missing = {named(path) for verb, path in PATHS if not is_served(routes, verb, path)}
    assert set(NAMED.values()) - missing == set()
