"""Say "y" to every WebSocket, again and again.

Phases: transform_request, call_backend, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.api.YesWebsocketBackend``.
"""

from typing import Any, Final
from urllib.parse import parse_qs

import trio
from typing_extensions import override

from oto_trio.plugin_api import Exchange, Response, ServedSocket, WebSocketBackend

__all__ = ["YesWebsocketBackend"]

_PAUSE_S: Final = 0.3
_FAIL = Response(500, (("Content-Type", "application/json"),), b'{"error":"fail !"}')


class YesWebsocketBackend(WebSocketBackend):
    """Sends the text ``y`` every 300 ms, in the backend's place; ``?fail=yes`` has the handshake fail with 500.

    What the client says is read and not looked at.
    """

    id = "cp:otoroshi.next.plugins.api.YesWebsocketBackend"
    name = "Yes"
    description = "Serves WebSockets by saying y, for tests."
    categories = ("Websocket",)

    @override
    def refuse_socket(self, exchange: Exchange) -> Response | None:
        return _FAIL if parse_qs(exchange.request.query).get("fail") == ["yes"] else None

    @override
    async def serve_socket(self, socket: ServedSocket, opened: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, socket)
            while True:
                await trio.sleep(_PAUSE_S)
                await socket.send("y")


async def _listen(socket: ServedSocket) -> None:
    """Take what the client says, so that its pings are answered behind it."""
    try:
        while True:
            await socket.receive()
    except trio.EndOfChannel:
        return
