"""The monitoring pages that a worker serves."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from oto_trio.gateway.frames import AskMetricsPage, ControlHealth, MetricsPage, UpFrame
from oto_trio.gateway.link import Outbox, supervisor_end, worker_end
from oto_trio.gateway.monitoring import (
    PAGE_TIMEOUT_S,
    PREFIX,
    Monitoring,
    health_page,
    is_key_accepted,
    probe_page,
)
from oto_trio.plugin_api import Exchange, Response
from oto_trio.testing import FakeRequest
from oto_trio.testing.scripted_engine import Suspended


class Stage:
    def __init__(
        self, nursery: trio.Nursery, health_key: str | None, metrics_key: str | None
    ) -> None:
        self.outbox: Outbox[UpFrame] = Outbox(4)
        self.answers: list[Response] = []
        self.monitoring = Monitoring(
            self.outbox,
            self._answered,
            nursery,
            health_access_key=health_key,
            metrics_access_key=metrics_key,
        )

    def _answered(self, exchange: Exchange, response: Response) -> None:
        self.answers.append(response)

    def ask(self, page: str, query: str = "", **headers: str) -> None:
        request = FakeRequest(path=PREFIX + page, query=query, headers=headers)
        self.monitoring.answer(Suspended(-1, request=request))


@asynccontextmanager
async def monitored(
    health_key: str | None = None, metrics_key: str | None = None
) -> AsyncGenerator[Stage]:
    async with trio.open_nursery() as nursery:
        yield Stage(nursery, health_key, metrics_key)
        nursery.cancel_scope.cancel()


STATES = [
    # store, started, draining -> health, live, ready, startup
    ((True, True, False), (200, 200, 200, 200)),
    ((False, True, False), (503, 200, 200, 200)),
    ((True, False, False), (503, 200, 503, 503)),
    ((True, True, True), (503, 200, 503, 200)),
]


@pytest.mark.parametrize(("state", "statuses"), STATES)
async def test_probes_show_how_the_gateway_is(
    state: tuple[bool, bool, bool], statuses: tuple[int, ...]
) -> None:
    async with monitored() as stage:
        stage.monitoring.control = ControlHealth(store_is_healthy=state[0], is_started=state[1])
        stage.monitoring.is_draining = state[2]
        for page in ("health", "live", "ready", "startup"):
            stage.ask(page)
        assert tuple(answer.status for answer in stage.answers) == statuses
        assert json.loads(stage.answers[1].body) == {"live": True}
        assert json.loads(stage.answers[2].body) == {"ready": statuses[2] == 200}
        assert json.loads(stage.answers[3].body) == {"started": statuses[3] == 200}


def test_the_health_document_names_what_is_wrong() -> None:
    healthy = json.loads(health_page(store_is_healthy=True, is_started=True).body)
    assert healthy["otoroshi"] == "healthy"
    assert healthy["datastore"] == "healthy"
    assert set(healthy) >= {"proxy", "storage", "eventstore", "certificates", "scripts"}
    lost = json.loads(health_page(store_is_healthy=False, is_started=True).body)
    assert (lost["otoroshi"], lost["datastore"]) == ("unhealthy", "unreachable")
    idle = json.loads(health_page(store_is_healthy=True, is_started=True, serving=False).body)
    assert idle["proxy"]["status"] == "down"


def test_probe_pages_are_503_when_the_answer_is_no() -> None:
    assert probe_page("ready", is_up=False).status == 503
    assert probe_page("startup", is_up=True).body == b'{"started":true}'


@pytest.mark.parametrize("page", ["", "unknown", "health/deeper"])
async def test_other_pages_are_not_found(page: str) -> None:
    async with monitored() as stage:
        stage.ask(page)
        assert stage.answers[0].status == 404


@pytest.mark.parametrize(
    ("query", "is_accepted"),
    [
        ("access_key=right", True),
        ("X-Access-Key=right", True),
        ("a=b&access_key=right", True),
        ("access_key=wrong", False),
        ("access_key=", False),
        ("", False),
        ("access_key=r%C3%A9", False),
    ],
)
def test_the_access_key_is_taken_from_the_query(query: str, is_accepted: bool) -> None:
    assert is_key_accepted(query, "right") is is_accepted
    assert is_key_accepted(query, None)


async def test_without_the_key_a_page_is_unauthorized() -> None:
    async with monitored("probes", "numbers") as stage:
        stage.ask("live")
        stage.ask("live", "access_key=probes")
        stage.ask("metrics", "access_key=probes")
        assert [answer.status for answer in stage.answers] == [401, 200, 401]
        assert stage.answers[0].body == b'{"error":"unauthorized"}'


async def test_the_key_of_the_probes_guards_the_metrics_when_they_have_none() -> None:
    async with monitored("probes") as stage:
        stage.ask("metrics")
        assert stage.answers[0].status == 401


async def test_the_state_header_comes_back() -> None:
    async with monitored() as stage:
        stage.ask("live")
        stage.ask("live", **{"Otoroshi-State": "abc"})
        states = [dict(answer.headers)["Otoroshi-State-Resp"] for answer in stage.answers]
        assert states == ["--", "abc"]


async def test_metrics_are_asked_from_the_supervisor() -> None:
    async with monitored() as stage, trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(stage.outbox.run, worker_end(theirs))
        stage.ask("metrics", "format=prom", Accept="text/plain")
        question = await supervisor_end(ours).receive()
        assert question == AskMetricsPage(1, "format=prom", "text/plain")
        stage.monitoring.take(MetricsPage(99, 200, "text/plain", b"for somebody else"))
        stage.monitoring.take(MetricsPage(1, 200, "text/plain", b"requests 1"))
        await trio.testing.wait_all_tasks_blocked()
        assert [(a.status, a.body) for a in stage.answers] == [(200, b"requests 1")]
        stage.outbox.finish()


async def test_a_supervisor_that_does_not_answer_is_not_waited_for_for_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with monitored() as stage:
        stage.ask("metrics")
        await trio.sleep(PAGE_TIMEOUT_S + 0.1)
        assert [answer.status for answer in stage.answers] == [503]


async def test_without_a_supervisor_there_are_no_metrics() -> None:
    async with monitored() as stage:
        stage.outbox.close()
        stage.ask("metrics")
        await trio.testing.wait_all_tasks_blocked()
        assert [answer.status for answer in stage.answers] == [503]
