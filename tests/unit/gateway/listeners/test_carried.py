"""Which session hears what the engine tells, and what becomes of one that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import pytest
from typing_extensions import override

from oto_trio._core import FieldBlock
from oto_trio.gateway.engine import (
    ANSWER,
    BROKEN,
    BYTES,
    CALL,
    CARRIED,
    CONSUMED,
    DATA,
    DIAL,
    HEAD,
    IDLE,
    LOST,
    MOUNTED,
    REACHED,
)
from oto_trio.gateway.listeners.carried import CarriedConnections
from oto_trio.gateway.listeners.http2 import Http2Session
from tests.unit.gateway.listeners.http2.conversation import GET, OK, POST, FakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 10.0


def client_bytes(headers: list[tuple[str, str]], *, end: bool = True) -> bytes:
    """What a client sends first: the preface, its settings, and one request."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, headers, end_stream=end)
    return client.data_to_send()


def carried(*connections: int) -> tuple[FakeEngine, CarriedConnections]:
    engine = FakeEngine()
    registry = CarriedConnections(engine)
    for conn in connections:
        registry.note(CARRIED, (conn, "standard-listener", True), NOW)
    registry.flush(NOW)
    return engine, registry


def test_events_find_their_sessions() -> None:
    engine, registry = carried(1, 2)
    assert len(registry) == 2
    for conn in (1, 2):
        registry.note(BYTES, (conn, client_bytes(POST, end=False)), NOW)
    registry.flush(NOW)
    assert list(engine.streams) == [1000, 1001]
    engine.sent.clear()
    registry.note(HEAD, (1000, OK), NOW)
    registry.note(DATA, (1000, b"one", False), NOW)
    registry.note(CONSUMED, (1001, 0), NOW)
    registry.note(ANSWER, (1001, OK, b"two"), NOW)
    sends = engine.sends
    registry.flush(NOW)
    assert engine.sends == sends + 2
    assert b"one" in engine.sent
    assert b"two" in engine.sent
    registry.note(BROKEN, 1000, NOW)
    registry.note(IDLE, 1, NOW)
    registry.note(LOST, 2, NOW)
    registry.flush(NOW)
    assert len(registry) == 1
    # What comes late finds nobody.
    registry.note(DATA, (1000, b"late", True), NOW)
    registry.note(BYTES, (2, b"late"), NOW)
    registry.flush(NOW)


def test_a_drain_says_goodbye_and_new_connections_are_drained_too() -> None:
    engine, registry = carried(1)
    registry.note(BYTES, (1, client_bytes(GET)), NOW)
    registry.flush(NOW)
    registry.drain(NOW)
    assert len(registry) == 1
    registry.note(ANSWER, (1000, OK, b"last"), NOW)
    registry.flush(NOW)
    assert engine.hung_up
    assert len(registry) == 0
    setattr(engine, "hung_up", False)  # noqa: B010 (a plain assignment would narrow the type)
    registry.note(CARRIED, (3, "standard-listener", True), NOW)
    registry.flush(NOW)
    assert engine.hung_up
    assert len(registry) == 0


def test_a_session_that_fails_loses_its_connection_and_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine, registry = carried(1, 2)
    for conn in (1, 2):
        registry.note(BYTES, (conn, client_bytes(GET)), NOW)
    registry.flush(NOW)

    def fail(*_: object) -> None:
        raise RuntimeError("defect")

    with monkeypatch.context() as patched:
        patched.setattr(Http2Session, "answer", fail)
        registry.note(ANSWER, (1000, FieldBlock(), b""), NOW)
    assert engine.hung_up
    assert engine.streams[1000].cancelled
    assert not engine.streams[1001].cancelled
    assert len(registry) == 1
    assert "the session of connection 1 failed" in caplog.text


class TellingEngine(FakeEngine):
    """Keeps what it is told of requests to backends."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[object, ...]] = []

    @override
    def break_stream(self, stream: int, unseen: bool, now: float, /) -> None:
        self.told.append(("broken", stream, unseen))

    @override
    def dial_failed(self, conn: int, problem: str, is_tls: bool, now: float, /) -> None:
        self.told.append(("not dialled", conn, problem))

    @override
    def hang_up(self, conn: int, now: float, /) -> None:
        self.told.append(("hung up", conn))


def fails(*_: object, **__: object) -> Any:
    raise RuntimeError("defect")


@pytest.mark.parametrize(
    ("kind", "value", "place", "told"),
    [
        (CARRIED, (7, "standard-listener", True), "Http2Session", ("hung up", 7)),
        (REACHED, 7, "Http2Calls", ("hung up", 7)),
        (MOUNTED, (7, "asgi a:b"), "MountSession", ("hung up", 7)),
        (DIAL, (7, "192.0.2.1", 443), None, ("not dialled", 7, "the gateway failed")),
    ],
)
def test_a_connection_that_cannot_begin_is_closed_alone(
    kind: int,
    value: object,
    place: str | None,
    told: tuple[object, ...],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = TellingEngine()
    registry = CarriedConnections(engine)
    registry.mounts = object()  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue] (never called)
    dialler: Callable[[], Any] = fails
    registry.make_dialler = dialler
    if place is not None:
        monkeypatch.setattr(f"oto_trio.gateway.listeners.carried.{place}", fails)
    registry.note(kind, value, NOW)
    registry.flush(NOW)
    assert engine.told == [told]
    assert len(registry) == 0
    assert "a connection cannot be carried" in caplog.text


def test_a_request_for_a_connection_that_ended_may_go_elsewhere() -> None:
    engine = TellingEngine()
    registry = CarriedConnections(engine)
    registry.note(CALL, (7, 1000, FieldBlock(), True), NOW)
    registry.flush(NOW)
    assert engine.told == [("broken", 1000, True)]


def test_a_session_that_fails_even_to_end_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = TellingEngine()
    registry = CarriedConnections(engine)
    registry.note(CARRIED, (1, "standard-listener", True), NOW)
    registry.flush(NOW)
    monkeypatch.setattr(Http2Session, "idle", fails)
    monkeypatch.setattr(Http2Session, "fail", fails)
    registry.note(IDLE, 1, NOW)
    registry.flush(NOW)
    assert engine.told == [("hung up", 1)]
    assert len(registry) == 0
