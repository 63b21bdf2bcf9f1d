"""Documents with jq filters: what else the admin API answers while these are compiled."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.control.checking import check_entity
from oto_trio.jq import checking
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document, serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from oto_trio.model.document import Document
    from oto_trio.model.errors import Problem

GUARD_S = 5.0
REGISTRY = builtin_plugins()
EXPORTERS = "/apis/events.otoroshi.io/v1/data-exporters"
FILTER = ".a as $planted | 1"


class SlowCompiler:
    """Stands for the process that compiles filters: it takes a text, and says nothing until it is let."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.may_answer = threading.Event()
        self.fault: str | None = "planted fault"
        self._token = trio.lowlevel.current_trio_token()

    def ask(self, text: bytes, names: bytes) -> str | None:
        """See `_Checker.ask`."""
        del names
        if text.decode() != FILTER:
            return None
        self._token.run_sync_soon(self.asked.set)
        assert self.may_answer.wait(GUARD_S), "whoever waits for it waits for the answer too"
        return self.fault


@pytest.fixture
async def compiler(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[SlowCompiler]:
    slow = SlowCompiler()
    vars(checking)["_fault"].cache_clear()
    monkeypatch.setattr(vars(checking)["_CHECKER"], "ask", slow.ask)
    yield slow
    vars(checking)["_fault"].cache_clear()


@pytest.fixture
async def served() -> AsyncGenerator[Served]:
    async with serving_admin_api(check=check) as api:
        yield api


def check(entity: Document) -> list[Problem]:
    return check_entity(entity, REGISTRY, {})


def messages_route() -> dict[str, Any]:
    plugin = "cp:otoroshi.next.plugins.JqWebsocketMessageTransformer"
    return route_document(plugins=[{"plugin": plugin, "config": {"request_filter": FILTER}}])


def exporter() -> dict[str, Any]:
    projection = {"who": {"$jq": FILTER}}
    return {"id": "e", "name": "e", "type": "console", "enabled": True, "projection": projection}


ROUTE_FAULT = "$.plugins[0].config.request_filter"
WRITES = {
    "created": ("POST", "/api/routes", messages_route(), ROUTE_FAULT),
    "replaced": ("PUT", "/api/routes/r1", messages_route(), ROUTE_FAULT),
    "applied": ("POST", "/apis/_apply", [messages_route() | {"kind": "Route"}], ROUTE_FAULT),
    "exporter": ("POST", EXPORTERS, exporter(), "$.projection.who"),
}


@pytest.mark.parametrize("name", WRITES)
async def test_others_are_answered_while_the_filters_of_a_document_are_compiled(
    served: Served, compiler: SlowCompiler, name: str
) -> None:
    verb, path, body, words = WRITES[name]
    if verb == "PUT":
        assert (await served.call("POST", "/api/routes", route_document())).status_code == 201
    revision = served.store.revision
    answers: list[Any] = []

    async def write() -> None:
        answers.append(await served.call(verb, path, body))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await compiler.asked.wait()
        assert (await served.call("GET", "/api/routes")).status_code == 200
        assert not compiler.may_answer.is_set()
        assert answers == []
        compiler.may_answer.set()
    (answer,) = answers
    assert answer.status_code == 400, answer.text
    assert words in answer.text
    assert "planted fault" in answer.text
    assert served.store.revision == revision
    vars(checking)["_fault"].cache_clear()
    compiler.fault = None
    assert (await served.call(verb, path, body)).status_code in {200, 201}
    assert served.store.revision > revision
