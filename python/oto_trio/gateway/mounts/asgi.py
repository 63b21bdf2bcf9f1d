"""ASGI applications (version 3.0 of the specification, on Trio).

An application runs in the worker's own Trio run, so one that needs asyncio does not work; those on AnyIO do
(Starlette, and what is built on it). It is told of the worker's start and end (lifespan). A client that leaves cancels
its call, at whatever it waits for.
"""

import logging
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import trio

from oto_trio.gateway.faults import split_fault
from oto_trio.gateway.mounts.call import Call, reason_of

__all__ = ["AsgiApp"]

logger = logging.getLogger(__name__)

STARTUP_S: Final = 30.0
"""How long an application may take to start."""

VERSIONS: Final = {"version": "3.0", "spec_version": "2.4"}


class AsgiApp:
    """An application of ASGI.

    Args:
        app: It.
        threads: Not used here.
    """

    def __init__(self, app: Any, threads: trio.CapacityLimiter) -> None:
        del threads
        self._app = app
        self._state: dict[str, Any] = {}
        self._is_started = trio.Event()
        self._stops = trio.Event()
        self._has_ended = trio.Event()
        self._knows_lifespan = False
        self._problem: str | None = None

    # ---------------------------------------------------------------------------- lifespan

    async def start(self, nursery: trio.Nursery) -> str | None:
        """Tell the application that the worker starts; return why it cannot, or None.

        Args:
            nursery: Owns its task until the worker ends.
        """
        nursery.start_soon(self._live)
        with trio.move_on_after(STARTUP_S) as patience:
            await self._is_started.wait()
        if patience.cancelled_caught:
            return f"nothing was heard of it for {STARTUP_S:g} s"
        return self._problem

    async def stop(self) -> None:
        """Tell it that the worker ends, and wait until it has heard."""
        self._stops.set()
        await self._has_ended.wait()

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": VERSIONS, "state": self._state}
        try:
            await self._app(scope, self._receive_life, self._send_life)
        except BaseException as error:
            passing, fault = split_fault(error)
            if fault is not None and self._knows_lifespan:
                logger.error("an application failed in its lifespan", exc_info=fault)
                if not self._is_started.is_set():
                    self._problem = reason_of(fault)
            if passing is not None:
                raise passing from None
        finally:
            self._is_started.set()
            self._has_ended.set()

    async def _receive_life(self) -> dict[str, Any]:
        if not self._knows_lifespan:
            self._knows_lifespan = True
            return {"type": "lifespan.startup"}
        await self._stops.wait()
        return {"type": "lifespan.shutdown"}

    async def _send_life(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.failed":
            self._problem = message.get("message") or "it says no more"
        if kind.startswith("lifespan.startup."):
            self._is_started.set()
        else:
            self._has_ended.set()

    # ---------------------------------------------------------------------------- requests

    async def answer(self, call: Call) -> None:
        """Call the application with a request, and send what it answers."""
        head = call.head
        path = unquote_to_bytes(head.raw_path).decode("utf-8", "replace")
        root = head.matched.rstrip("/")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": VERSIONS,
            "http_version": "2",
            "method": head.method,
            "scheme": head.scheme,
            "path": root + path,
            "raw_path": root.encode("latin-1") + head.raw_path,
            "query_string": head.query,
            "root_path": root,
            "headers": head.headers,
            "client": (head.client, 0),
            "server": head.server,
            "state": self._state.copy(),
            "extensions": {},
        }
        is_told = False

        async def receive() -> dict[str, Any]:
            nonlocal is_told
            if not is_told:
                body = await call.read()
                is_told = call.is_read
                return {"type": "http.request", "body": body, "more_body": not is_told}
            # A client that leaves cancels this; whoever has answered is told the same.
            await call.over.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            if message["type"] == "http.response.start":
                call.start(message["status"], message.get("headers", ()))
            elif message["type"] == "http.response.body":
                await call.write(message.get("body", b""))
                if not message.get("more_body", False):
                    call.end()
            else:
                raise ValueError(f"an answer over HTTP has no {message['type']}")

        await self._app(scope, receive, send)
