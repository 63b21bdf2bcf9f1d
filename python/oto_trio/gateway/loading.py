"""Code that few gateways need, loaded aside before the first request that does.

Importing what WebSockets with message plugins or QUIC take costs a tenth of a second to one second. Workers that
need neither are spared the memory; the others have it loaded in a thread, so that their loop goes on meanwhile, as soon as
they are told what needs it: a route, or a listener.
"""

import importlib
import logging
import sys
from collections.abc import Iterable
from typing import Final

import trio

__all__ = ["HTTP3_BACKENDS", "HTTP3_LISTENERS", "WEBSOCKETS", "load"]

logger = logging.getLogger(__name__)

HTTP3_BACKENDS: Final = "oto_trio.gateway.upstream.dialling"
HTTP3_LISTENERS: Final = "oto_trio.gateway.listeners.http3.server"
WEBSOCKETS: Final = "oto_trio.gateway.websocket.session"
"""WebSockets whose messages plugins look at, or that plugins serve."""


async def load(modules: Iterable[str]) -> None:
    """Import what is not there yet. What cannot be imported is logged, and fails what asks for it later.

    Cancellation: waits until the module that is being imported is there.
    """
    for module in modules:
        if module not in sys.modules:
            try:
                await trio.to_thread.run_sync(importlib.import_module, module)
            except ImportError as error:
                logger.error("%s cannot be loaded", module, exc_info=error)
