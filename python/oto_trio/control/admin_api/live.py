"""Live numbers of the gateway, or of one entity's routes: ``/api/live``, once or again and again.

They are differences of the counters that the workers keep; nothing is kept between two requests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import trio
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.resources import ROUTE_COMPOSITIONS, ROUTES, SERVICE_DESCRIPTORS
from oto_trio.control.admin_api.sentences import in_sentences, sentence
from oto_trio.gateway.frames import EntityKey
from oto_trio.model.ids import id_problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request

    from oto_trio.control.admin_api.gateway_control import GatewayControl
    from oto_trio.control.admin_api.operations import Entities

__all__ = ["LiveNumbers"]

WINDOW_S: Final = 0.5
"""How long a single answer watches the counters: rates need two looks."""

SHORTEST_MS: Final = 100
LONGEST_MS: Final = 60_000
"""Bounds of ``every``, in milliseconds."""


_ROUTES_FIRST: Final = tuple(
    resource.store_kind for resource in (ROUTES, SERVICE_DESCRIPTORS, ROUTE_COMPOSITIONS)
)
_SERVICES_FIRST: Final = tuple(
    resource.store_kind for resource in (SERVICE_DESCRIPTORS, ROUTES, ROUTE_COMPOSITIONS)
)

Counters: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
"""Reads counters."""


class _Look(msgspec.Struct, frozen=True):
    """The counters at a moment of Trio's clock."""

    at_s: float
    counters: Mapping[str, Any]


class LiveNumbers:
    """Endpoints for numbers that change all the time.

    Args:
        gateway: Has the counters.
        entities: Tell whether there is an entity, and whether the caller may know it.
    """

    def __init__(self, gateway: GatewayControl, entities: Entities) -> None:
        self._gateway = gateway
        self._entities = entities

    def paths(self) -> list[Path]:
        """Give the paths; they must come before those of the resources."""
        table: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/api/live": self._show_all,
            "/api/live/{id}": partial(self._show_one, _ROUTES_FIRST),
            "/api/services/{id}/live": partial(self._show_one, _SERVICES_FIRST),
        }
        return [Path(path, in_sentences(act), methods=["GET"]) for path, act in table.items()]

    async def _show_all(self, request: Request) -> Response:
        """Answer the numbers of the whole gateway."""
        return await _show(request, self._gateway.metrics)

    async def _show_one(self, kinds: Sequence[str], request: Request) -> Response:
        """Answer the numbers of an entity's routes.

        Args:
            kinds: Where the entity is looked for, in this order.
            request: What names it.

        Raises:
            ApiError: There is none, or it is out of the caller's reach.
        """
        entity_id = request.path_params["id"]
        if entity_id == "global" and kinds is _ROUTES_FIRST:
            return await self._show_all(request)
        for kind in () if id_problem(entity_id) else kinds:
            if await self._entities.store.get(kind, entity_id) is not None:
                key = EntityKey(kind, entity_id)
                return await _show(request, partial(self._gateway.route_counts, key))
        raise sentence(404, f"Service with id: '{entity_id}' not found")


async def _show(request: Request, read: Counters) -> Response:
    """Answer the numbers of the last moment, or with ``every`` a stream of them.

    Cancellation: the answer ends; a stream has no other end than the client's leaving.
    """
    every = request.query_params.get("every")
    if every is not None:
        stream = _stream(read, _milliseconds(every) / 1000)
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(stream, 200, headers, media_type="text/event-stream")
    before = await _look(read)
    await trio.sleep(WINDOW_S)
    return answer(request, _numbers(before, await _look(read)), pretty_by_default=False)


async def _look(read: Counters) -> _Look:
    """Read the counters. Cancellation: nothing is left half done."""
    return _Look(trio.current_time(), await read())


async def _stream(read: Counters, every_s: float) -> AsyncIterator[bytes]:
    """Write the numbers again and again, as server-sent events."""
    before = await _look(read)
    while True:
        await trio.sleep(every_s)
        now = await _look(read)
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

    ``duration`` and ``overhead`` are means in ms of the exchanges that ended in between.
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
        "overhead": grown("overhead_sum_s") * 1000 / calls if calls else 0,
        "dataInRate": grown("bytes_in") / elapsed_s,
        "dataOutRate": grown("bytes_out") / elapsed_s,
        "concurrentHandledRequests": sum_of("exchanges"),
    }
