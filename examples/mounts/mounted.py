"""Three ways to let code answer in the gateway's own process; docs/mount.md has the routes for them.

Put this file where Python finds it (PYTHONPATH), and name it in the setting `mounts`.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import trio

from oto_trio.plugin_api import MountedRequest

__all__ = ["clock", "greet", "shout", "wsgi"]


async def greet(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer by ASGI: say who asked for what."""
    if scope["type"] == "lifespan":
        for moment in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})
        return
    text = f"{scope['client'][0]} asked for {scope['path']}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer by WSGI: give back the body, as it comes."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    while data := environ["wsgi.input"].read(65536):
        yield data


async def clock(request: MountedRequest) -> tuple[int, list[tuple[str, str]], AsyncIterator[bytes]]:
    """Answer with an event a second, until the client leaves."""
    del request

    async def events() -> AsyncIterator[bytes]:
        began = trio.current_time()
        while True:
            yield b"data: %d\n\n" % round(trio.current_time() - began)
            await trio.sleep(1)

    return 200, [("Content-Type", "text/event-stream")], events()


def shout(request: MountedRequest) -> str:
    """Answer from a thread, with the body in capitals."""
    return request.body.decode().upper()
