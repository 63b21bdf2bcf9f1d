"""The backend of a load test, a process of its own: `python -m loadtests.upstream`.

It listens on a free port of the loopback address, tells it in one line of JSON, and ends at SIGTERM.

    /bytes/N      N bytes
    a WebSocket   every message, said back
    anything      with a body: the count of its bytes; without: the path
"""

import json
import signal
from typing import Final

import h11
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

LARGEST_BYTES: Final = 16 * 1024 * 1024


def answer(target: str, received: int) -> tuple[int, bytes]:
    """Return status and body for a request with so many bytes of body."""
    kind, _, number = target.removeprefix("/").partition("/")
    if kind == "bytes":
        if not number.isdigit():
            return 404, b"no such page"
        return 200, b"x" * min(int(number), LARGEST_BYTES)
    return 200, str(received).encode() if received else target.encode()


async def serve(stream: trio.SocketStream) -> None:
    """Answer the requests of one connection."""
    connection = h11.Connection(h11.SERVER)
    target, received = "", 0
    async with stream:
        try:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some(65536))
                elif isinstance(event, h11.Request) and is_websocket(event):
                    early = connection.trailing_data[0]
                    await echo(stream, event, early)
                    return
                elif isinstance(event, h11.Request):
                    target, received = event.target.decode("ascii"), 0
                elif isinstance(event, h11.Data):
                    received += len(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    status, body = answer(target, received)
                    await stream.send_all(written(connection, status, body))
                    if connection.our_state is h11.MUST_CLOSE:
                        return
                    connection.start_next_cycle()
                else:
                    return
        except (
            trio.BrokenResourceError,
            h11.RemoteProtocolError,
            LocalProtocolError,
            RemoteProtocolError,
        ):
            return  # the gateway has left, as it may when its client has


def is_websocket(request: h11.Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return (b"upgrade", b"websocket") in [(name, value.lower()) for name, value in request.headers]


async def echo(stream: trio.SocketStream, request: h11.Request, early: bytes) -> None:
    """Say every message of a WebSocket back, until it is closed."""
    ws = WSConnection(ConnectionType.SERVER)
    ws.initiate_upgrade_connection(list(request.headers), request.target.decode("ascii"))
    data: bytes | None = early
    while True:
        if data is None or data:
            ws.receive_data(data)
        for event in ws.events():
            said = reply(event)
            if said is not None:
                await stream.send_all(ws.send(said))
            if isinstance(event, CloseConnection):
                return
        data = await stream.receive_some(65536) or None


def reply(event: Event) -> Event | None:
    """Return what is said to an event."""
    if isinstance(event, Request):
        return AcceptConnection()
    if isinstance(event, Ping | CloseConnection):
        return event.response()
    if isinstance(event, BytesMessage):
        return BytesMessage(data=bytes(event.data), message_finished=event.message_finished)
    if isinstance(event, TextMessage):
        return TextMessage(data=event.data, message_finished=event.message_finished)
    return None


def written(connection: h11.Connection, status: int, body: bytes) -> bytes:
    """Return a whole response as bytes."""
    headers = [("Content-Length", str(len(body)))]
    parts = (
        connection.send(h11.Response(status_code=status, headers=headers)),
        connection.send(h11.Data(data=body)),
        connection.send(h11.EndOfMessage()),
    )
    return b"".join(part for part in parts if part)


async def main() -> None:
    """Serve until SIGTERM."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
            port = listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
