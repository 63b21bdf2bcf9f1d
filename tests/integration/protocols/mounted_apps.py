"""The applications that `test_mounts` has mounted: a worker imports this file."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
import trio
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from starlette.requests import Request

    from oto_trio.plugin_api import MountedRequest

__all__ = ["asgi", "broken", "crowded", "flasks", "function", "plain", "plain_async", "silent"]

NOTES = Path(__file__).parent / "notes"
"""Where applications note what became of them; the folder is a copy, one for each test."""


def note(name: str) -> None:
    NOTES.mkdir(exist_ok=True)
    (NOTES / name).touch()


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncGenerator[dict[str, str]]:
    note("started")
    yield {"since": "the start"}
    note("stopped")


async def tell(request: Request) -> Response:
    return JSONResponse(
        {
            "method": request.method,
            "url": str(request.url),
            "root": request.scope["root_path"],
            "path": request.scope["path"],
            "client": request.client.host if request.client else None,
            "header": request.headers.get("x-one"),
            "since": request.state.since,
        }
    )


async def echo(request: Request) -> Response:
    return StreamingResponse(request.stream(), media_type="application/octet-stream")


async def count(request: Request) -> Response:
    size = 0
    async for data in request.stream():
        size += len(data)
    return PlainTextResponse(str(size))


async def large(_request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(512):
            note("large" if number == 511 else "large begun")
            yield number.to_bytes(4) * 16384

    return StreamingResponse(pieces())


async def hang(_request: Request) -> Response:
    try:
        note("hanging")
        await trio.sleep_forever()
    finally:
        note("cancelled")


async def stream(_request: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        try:
            yield b"data: one\n\n"
            await trio.sleep_forever()
        finally:
            note("stream cancelled")

    return StreamingResponse(events(), media_type="text/event-stream")


async def fail(_request: Request) -> Response:
    raise ValueError("as it should")


async def fail_late(_request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"begun"
        raise ValueError("too late")

    return StreamingResponse(pieces())


METHODS = ["GET", "POST"]
asgi = Starlette(
    lifespan=lifespan,
    routes=[
        Route(f"/{handler.__name__}", handler, methods=METHODS)
        for handler in (tell, echo, count, large, hang, stream, fail, fail_late)
    ],
)

flasks = flask.Flask(__name__)


@flasks.route("/tell", methods=["GET"])
def flask_tell() -> dict[str, Any]:
    environ = flask.request.environ
    return {
        "url": flask.request.url,
        "root": environ["SCRIPT_NAME"],
        "path": environ["PATH_INFO"],
        "client": flask.request.remote_addr,
        "header": flask.request.headers.get("x-one"),
    }


@flasks.route("/echo", methods=["POST"])
def flask_echo() -> flask.Response:
    def pieces() -> Iterator[bytes]:
        while data := flask.request.stream.read(65536):
            yield data

    return flask.Response(flask.stream_with_context(pieces()))


@flasks.route("/large", methods=["GET"])
def flask_large() -> flask.Response:
    return flask.Response(number.to_bytes(4) * 16384 for number in range(512))


@flasks.route("/fail", methods=["GET"])
def flask_fail() -> str:
    raise ValueError("as it should")


async def function(request: MountedRequest) -> Any:
    if request.path == "/stream":
        return 201, [("x-kind", "stream")], request.chunks()
    return f"{request.method} {request.path}?{request.query} {request.header('X-One')}"


async def plain_async(request: MountedRequest) -> bytes:
    return (await request.read())[::-1]


def plain(request: MountedRequest) -> bytes:
    return request.body[::-1]


async def silent(_scope: Any, _receive: Any, _send: Any) -> None:
    """Answer nothing."""


async def broken(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.failed", "message": "no database"})


crowded = "a text"
