"""From HTTP listeners to the sockets that are opened for them."""

import logging
from typing import Final

import msgspec

from oto_trio.control.supervisor.listeners import WantedListener
from oto_trio.gateway.frames import ListenerWays
from oto_trio.model.document import read_document
from oto_trio.model.errors import EntityError, Problem
from oto_trio.model.http_listener import HttpListener, ListenerSettings

__all__ = ["listener_ways", "read_http_listener", "wanted_by_http_listener"]

logger = logging.getLogger(__name__)

KIND: Final = "http-listener"


def read_http_listener(document: bytes) -> HttpListener:
    """Read a listener from the JSON of the store.

    Raises:
        EntityError: What is wrong with it.
        msgspec.DecodeError: It is no JSON.
    """
    return read_document(HttpListener, msgspec.json.decode(document))


def listener_ways(config: ListenerSettings) -> ListenerWays:
    """Return what clients may speak on a listener over TCP.

    Raises:
        EntityError: Nothing.
    """
    http2 = config.http2 if config.tls else config.h2c
    if not config.http1 and not http2:
        name = "http2" if config.tls else "h2c"
        what = f"nothing is spoken on the port: http1 and {name} are both false"
        fix = f"set http1 or {name} to true, or enabled to false"
        raise EntityError(KIND, [Problem("$.config.http1", what, fix)])
    return ListenerWays(
        secured=config.tls,
        client_auth=config.client_auth,
        http1=config.http1,
        http2=http2,
        exclusive=config.exclusive,
    )


def wanted_by_http_listener(document: bytes) -> WantedListener | None:
    """Return what a listener of the store asks for; None when it is disabled.

    Raises:
        EntityError: What is wrong with it.
        msgspec.DecodeError: It is no JSON.
    """
    listener = read_http_listener(document)
    config = listener.config
    if not config.enabled:
        return None
    ways = listener_ways(config)
    if config.http3:
        logger.warning(
            "%s: HTTP/3 is not opened (config.http3); its port takes TCP only", listener.id
        )
    return WantedListener(listener.id, config.host.strip("[]"), config.port, ways)
