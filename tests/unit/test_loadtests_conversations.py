"""What load tests speak besides plain requests: the backend's WebSockets, and how a conversation is counted."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from websockets.sync.client import connect

from loadtests.talking import WrongAnswerError, timed
from loadtests.upstream import serve


def talk(port: int) -> list[str | bytes]:
    with connect(f"ws://127.0.0.1:{port}/", compression=None, proxy=None) as socket:
        heard: list[str | bytes] = []
        for said in ("hello", b"x" * 70_000, ""):
            socket.send(said)
            heard.append(socket.recv())
        return heard


async def test_the_backend_says_messages_back() -> None:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        heard = await trio.to_thread.run_sync(talk, port)
        nursery.cancel_scope.cancel()
    assert heard == ["hello", b"x" * 70_000, ""]


def fails() -> int:
    raise WrongAnswerError("another answer")


def breaks() -> int:
    raise ConnectionResetError("gone")


@pytest.mark.parametrize(
    ("conversation", "heard", "reason"),
    [
        (lambda: 7, 7, None),
        (fails, 0, WrongAnswerError),
        (breaks, 0, ConnectionResetError),
    ],
)
def test_a_conversation_is_counted(
    conversation: Any, heard: int, reason: type[Exception] | None
) -> None:
    told: list[dict[str, Any]] = []
    request = SimpleNamespace(fire=lambda **facts: told.append(facts))
    environment = SimpleNamespace(events=SimpleNamespace(request=request))
    assert timed(environment, "WS", "message", conversation) is (reason is None)
    (fact,) = told
    assert (fact["request_type"], fact["name"], fact["response_length"]) == ("WS", "message", heard)
    assert fact["response_time"] >= 0
    assert (fact["exception"] is None) if reason is None else isinstance(fact["exception"], reason)


def test_what_is_no_surprise_of_the_network_breaks_the_user_down() -> None:
    def defect() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        timed(SimpleNamespace(), "WS", "message", defect)
