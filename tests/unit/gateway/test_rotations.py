"""A worker knows by its own clock when the secret of an API key is over."""

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from oto_trio import _core
from oto_trio.gateway.frames import Change, Entity, EntityKey, ProblemReport, SnapshotFull
from oto_trio.gateway.installer import KINDS, Installer
from oto_trio.gateway.rotations import Rotations
from oto_trio.model.api_key import HOUR_MS, ROTATIONS, read_api_key
from oto_trio.model.document import encode_document
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.testing.scripted_engine import ScriptedEngine
from tests.integration.plugins.api_keys import METHODS

if TYPE_CHECKING:
    from oto_trio.gateway.snapshots import SnapshotLike

BEGAN_S = 1_700_000_000
HOURS = 10
END_S = BEGAN_S + HOURS * 3600

ROUTE = Entity(
    "routes",
    "r",
    json.dumps(
        {
            "id": "r",
            "name": "r",
            "frontend": {"domains": ["a.test"]},
            "backend": {"targets": [{"hostname": "backend.internal", "port": 80}]},
            "plugins": [{"plugin": "cp:otoroshi.next.plugins.ApikeyCalls", "config": {}}],
        }
    ).encode(),
)


def key(next_secret: str | None, *, enabled: bool = True, every: int = HOURS) -> Entity:
    rotation = {"enabled": enabled, "rotationEvery": every, "nextSecret": next_secret}
    document = {
        "clientId": "c",
        "clientSecret": "old",
        "clientName": "n",
        "authorizedEntities": ["route_r"],
        "rotation": rotation,
    }
    return Entity("apikeys", "c", encode_document(read_api_key(document)))


def period(start: object = BEGAN_S * 1000) -> Entity:
    return Entity(ROTATIONS, "c", json.dumps({"start": start}).encode())


class Worker:
    """An installer, and who is let in by what it installed."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine
        self.problems: list[ProblemReport] = []
        self.installer = Installer(
            self.engine,
            cast("SnapshotLike", _core.Snapshot()),
            builtin_plugins(),
            folder=None,
            clock=trio.current_time,
            report=self.problems.append,
        )

    async def change(self, *entities: Entity, removed: tuple[EntityKey, ...] = ()) -> None:
        await self.installer.take(Change(1, True, list(entities), list(removed)))
        assert self.problems == []

    def admitted(self, unix_s: float, method: str = "custom_headers") -> list[str]:
        """The secrets that let a caller in."""
        return [secret for secret in ("old", "new", "") if self._lets_in(secret, unix_s, method)]

    def _lets_in(self, secret: str, unix_s: float, method: str) -> bool:
        shown = METHODS[method]("c", secret)
        live = cast("_core.Snapshot", self.engine.installed[-1])
        exchange = live.begin(
            b"GET",
            f"{shown.path}?{shown.query}".encode(),
            [(b"Host", b"a.test"), *((n.encode(), v.encode()) for n, v in shown.headers.items())],
            unix_time=unix_s,
        )
        decision: tuple[Any, ...] = exchange.advance()
        assert decision[0] in ("forward", "reply")
        return bool(decision[0] == "forward")


@pytest.fixture
def worker(engine: ScriptedEngine) -> Worker:
    return Worker(engine)


@pytest.mark.parametrize("method", ["custom_headers", "basic header", "oto_bearer header"])
async def test_a_secret_is_over_at_its_time_and_not_when_somebody_writes_it_down(
    worker: Worker, method: str
) -> None:
    await worker.change(ROUTE, key("new"), period())
    assert worker.admitted(END_S - 0.001, method) == ["old", "new"]
    assert worker.admitted(END_S, method) == ["new"]
    assert worker.admitted(END_S + 1e6, method) == ["new"]


async def test_without_a_next_secret_nobody_has_the_one_that_follows(worker: Worker) -> None:
    await worker.change(ROUTE, key(None), period())
    assert worker.admitted(END_S - 0.001) == ["old"]
    assert worker.admitted(END_S) == []


async def test_a_key_changes_with_what_is_known_of_it_and_of_its_period(worker: Worker) -> None:
    await worker.change(ROUTE, key("new"))
    assert worker.admitted(END_S) == ["old", "new"], "nobody knows when its period began"
    await worker.change(period())
    assert worker.admitted(END_S) == ["new"]
    await worker.change(key("new", every=HOURS + 1))
    assert worker.admitted(END_S) == ["old", "new"]
    assert worker.admitted(END_S + 3600) == ["new"]
    await worker.change(key("new", enabled=False))
    assert worker.admitted(END_S + 3600) == ["old"]
    await worker.change(key("new"))
    await worker.change(period((BEGAN_S + 3600) * 1000))
    assert worker.admitted(END_S) == ["old", "new"]
    await worker.change(removed=(EntityKey(ROTATIONS, "c"),))
    assert worker.admitted(END_S + 1e6) == ["old", "new"]
    await worker.change(period())
    await worker.change(removed=(EntityKey("apikeys", "c"),))
    assert worker.admitted(END_S) == []


async def test_a_whole_snapshot_takes_away_the_periods_that_it_does_not_have(
    worker: Worker,
) -> None:
    await worker.change(ROUTE, key("new"), period())
    await worker.installer.take(SnapshotFull(2, 0, True, [ROUTE, key("new")]))
    assert worker.admitted(END_S) == ["old", "new"]
    assert ROTATIONS in KINDS


def test_a_key_that_does_not_rotate_is_not_kept() -> None:
    rotations = Rotations()
    rotations.note_key("c", key("new", enabled=False).body)
    assert rotations.take_rows() == []
    rotations.note_key("c", key("new").body)
    assert rotations.take_rows() == [(ROTATIONS, "c", None)], "without a period it has no end"
    rotations.note_period("c", period().body)
    ((_, _, row),) = rotations.take_rows()
    assert row is not None
    assert json.loads(row)["end_ms"] == BEGAN_S * 1000 + HOURS * HOUR_MS


@pytest.mark.parametrize("body", [b"", b"{}", b'{"start":"now"}', b'{"start":1.5}'])
def test_a_period_that_cannot_be_read_is_none(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    rotations = Rotations()
    rotations.note_key("c", key("new").body)
    rotations.note_period("c", body)
    assert rotations.take_rows() == [(ROTATIONS, "c", None)]
    assert "the period of the API key c cannot be read" in caplog.text
