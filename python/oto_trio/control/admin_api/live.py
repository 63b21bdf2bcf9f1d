"""Live numbers of the whole gateway: ``/api/live``, once or again and again.

They are differences of the counters that the workers report; nothing is kept between two requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.sentences import in_sentences, sentence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from oto_trio.control.admin_api.gateway_control import GatewayControl

__all__ = ["LiveNumbers"]

WINDOW_S: Final = 0.5
"""How long a single answer watches the counters: rates need two looks."""

SHORTEST_MS: Final = 100
LONGEST_MS: Final = 60_000
"""Bounds of ``every``, in milliseconds."""


class _Look(msgspec.Struct, frozen=True):
    """The counters at a moment of Trio's clock."""

    at_s: float
    counters: Mapping[str, Any]


class LiveNumbers:
    """Endpoints for numbers that change all the time.

    Args:
        gateway: Has the counters.
    """

    def __init__(self, gateway: GatewayControl) -> None:
        self._gateway = gateway

    def paths(self) -> list[Path]:
        """Give the paths."""
        endpoint = in_sentences(self._show)
        return [Path(path, endpoint, methods=["GET"]) for path in ("/api/live", "/api/live/{id}")]

    async def _look(self) -> _Look:
        """Read the counters. Cancellation: nothing is left half done."""
        return _Look(trio.current_time(), await self._gateway.metrics())

    async def _show(self, request: Request) -> Response:
        """Answer the numbers of the last moment, or with ``every`` a stream of them.

        Cancellation: the answer ends; a stream has no other end than the client's leaving.
        """
        if request.path_params.get("id", "global") != "global":
            raise sentence(404, "nothing counts the calls of one service; ask for /api/live")
        every = request.query_params.get("every")
        if every is not None:
            stream = self._stream(_milliseconds(every) / 1000)
            headers = {"Cache-Control": "no-store"}
            return StreamingResponse(stream, 200, headers, media_type="text/event-stream")
        before = await self._look()
        await trio.sleep(WINDOW_S)
        return answer(request, _numbers(before, await self._look()), pretty_by_default=False)

    async def _stream(self, every_s: float) -> AsyncIterator[bytes]:
        """Write the numbers again and again, as server-sent events."""
        before = await self._look()
        while True:
            await trio.sleep(every_s)
            now = await self._look()
            yield b"data: %b\n\n" % msgspec.json.encode(_numbers(before, now))
            before = now


def _milliseconds(text: str) -> int:
    """Read how often the numbers are wanted.

    Raises:
        ApiError: It is no number, or out of bounds.
    """
    is_number = text.isascii() and text.isdigit() and len(text) < 8
    if not is_number or not SHORTEST_MS <= int(text) <= LONGEST_MS:
        told = f"every={text!r} is no number of ms from {SHORTEST_MS} to {LONGEST_MS}"
        raise sentence(400, told)
    return int(text)


def _numbers(before: _Look, now: _Look) -> dict[str, Any]:
    """Make Otoroshi's numbers of two looks: sums since the start, and what came between, each second.

    ``duration`` is the mean in ms of the exchanges that ended in between. ``overhead`` is null: the
    counters do not have it.
    """
    elapsed_s = max(now.at_s - before.at_s, 1e-9)

    def sum_of(name: str, look: _Look = now) -> float:
        value: object = look.counters.get(name, 0)
        return value if isinstance(value, int | float) else 0

    def grown(name: str) -> float:
        # A worker that ended between the looks leaves its counters behind; they never shrink for long.
        return max(sum_of(name) - sum_of(name, before), 0)

    calls = grown("requests")
    return {
        "calls": sum_of("requests"),
        "dataIn": sum_of("bytes_in"),
        "dataOut": sum_of("bytes_out"),
        "rate": calls / elapsed_s,
        "duration": grown("latency_sum_s") * 1000 / calls if calls else 0,
        "overhead": None,
        "dataInRate": grown("bytes_in") / elapsed_s,
        "dataOutRate": grown("bytes_out") / elapsed_s,
        "concurrentHandledRequests": sum_of("exchanges"),
    }
