"""Pages in a real browser: Debian's Chromium, without a window."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import h11
import trio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["CHROMIUM", "page_report"]

CHROMIUM: Final = shutil.which("chromium")
"""The browser; none where it is not installed. Tests that want it skip then."""

OPTIONS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
)
PATIENCE_S: Final = 240.0


async def page_report(
    page: str, query: Mapping[str, str], data: Path, *options: str
) -> dict[str, Any]:
    """Open a page; return the JSON that it sends to ``/report`` of its own origin.

    Args:
        page: Its HTML.
        query: What it is told in its address.
        data: A folder for the browser.
        *options: Further options of the browser.

    Raises:
        trio.TooSlowError: It reported nothing.
    """
    assert CHROMIUM is not None
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    send, receive = trio.open_memory_channel[dict[str, Any]](1)
    url = f"http://127.0.0.1:{port}/?{urlencode(query)}"
    command = [CHROMIUM, *OPTIONS, *options, f"--user-data-dir={data / 'chromium'}", url]
    async with trio.open_nursery() as nursery:
        serve = partial(_serve, page.encode(), send)
        await nursery.start(trio.serve_listeners, serve, listeners)
        nothing = subprocess.DEVNULL
        browser = await trio.lowlevel.open_process(
            command, start_new_session=True, stdout=nothing, stderr=nothing
        )
        try:
            with trio.fail_after(PATIENCE_S):
                return await receive.receive()
        finally:
            # It has children of its own.
            os.killpg(browser.pid, signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await browser.wait()
            nursery.cancel_scope.cancel()


async def _serve(
    page: bytes, report: trio.MemorySendChannel[dict[str, Any]], stream: trio.SocketStream
) -> None:
    """Answer one request: the page, or thanks for a report. The browser may be gone before it has an answer."""
    with suppress(trio.BrokenResourceError):
        await _answer(page, report, stream)


async def _answer(
    page: bytes, report: trio.MemorySendChannel[dict[str, Any]], stream: trio.SocketStream
) -> None:
    server = h11.Connection(h11.SERVER)
    path, body = b"", b""
    async with stream:
        while True:
            event = server.next_event()
            if event is h11.NEED_DATA:
                server.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                path = event.target.partition(b"?")[0]
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return
        status = 200 if path in (b"/", b"/report") else 404
        headers = [("Content-Type", "text/html"), ("Connection", "close")]
        sent = page if path == b"/" else b""
        for part in (
            h11.Response(
                status_code=status, headers=[*headers, ("Content-Length", str(len(sent)))]
            ),
            h11.Data(data=sent),
            h11.EndOfMessage(),
        ):
            await stream.send_all(server.send(part) or b"")
    if path == b"/report":
        await report.send(json.loads(body))
