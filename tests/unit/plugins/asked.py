"""Ask a route with one plugin what it makes of a request, without sockets."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from oto_trio._core import Snapshot
from oto_trio.gateway.compile import Hooks, RouteCompiler
from oto_trio.model.route import read_route
from oto_trio.plugin_api.registry import builtin_plugins

__all__ = ["NOW", "ask", "header"]

NG = "cp:otoroshi.next.plugins."
NOW = 1_800_000_000.0
"""Unix time of the question."""


def ask(
    plugin: str,
    config: Mapping[str, Any],
    *entities: tuple[str, str, Mapping[str, Any]],
    headers: Sequence[tuple[str, str]] = (),
) -> tuple[Any, ...]:
    """Return what a route with this plugin decides of a GET request.

    Args:
        plugin: The plugin's name in Otoroshi's namespace.
        config: Its config.
        entities: What it may look up: kind, id and document.
        headers: The request's fields besides ``Host``.
    """
    document = {
        "id": "r",
        "name": "r",
        "frontend": {"domains": ["a.test"]},
        "backend": {"targets": [{"hostname": "b.test", "port": 80}]},
        "plugins": [{"plugin": NG + plugin, "config": dict(config)}],
    }
    lowered = RouteCompiler(builtin_plugins(), Hooks()).compile(read_route(document), {})
    assert lowered.problems == ()
    rows = [(kind, name, json.dumps(entity).encode()) for kind, name, entity in entities]
    snapshot = Snapshot().apply([lowered.document], [], None, rows)
    fields = [("Host", "a.test"), *headers]
    exchange = snapshot.begin(
        b"GET", b"/", [(n.encode(), v.encode()) for n, v in fields], unix_time=NOW
    )
    return exchange.advance()


def header(decision: tuple[Any, ...], name: str) -> str | None:
    """Return a field of the request that a decision sends on."""
    assert decision[0] == "forward", decision
    wanted = name.lower().encode()
    return next((v.decode() for n, v in decision[4] if n.lower() == wanted), None)
