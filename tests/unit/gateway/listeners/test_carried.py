"""Which session hears what the engine tells, and what becomes of one that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h2.config
import h2.connection

from oto_trio._core import FieldBlock
from oto_trio.gateway.engine import ANSWER, BROKEN, BYTES, CARRIED, CONSUMED, DATA, HEAD, IDLE, LOST
from oto_trio.gateway.listeners.carried import CarriedConnections
from oto_trio.gateway.listeners.http2 import Http2Session
from tests.unit.gateway.listeners.http2.conversation import GET, OK, POST, FakeEngine

if TYPE_CHECKING:
    import pytest

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
