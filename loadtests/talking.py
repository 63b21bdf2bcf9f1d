"""Conversations on sockets of their own, for what Locust's HTTP client does not speak."""

import socket
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from loadtests.site import Site

__all__ = ["PATIENCE_S", "WrongAnswerError", "address_of", "connected", "timed"]

PATIENCE_S: Final = 20.0
"""How long one read or write may take."""


class WrongAnswerError(Exception):
    """An answer is not what it must be."""


def address_of(site: Site) -> tuple[str, int]:
    """Return the address of the gateway."""
    parts = urlsplit(site.gateway)
    return parts.hostname or "127.0.0.1", parts.port or 80


def connected(site: Site) -> socket.socket:
    """Connect to the gateway.

    Raises:
        OSError: It takes no connection.
    """
    return socket.create_connection(address_of(site), PATIENCE_S)


def timed(environment: Any, kind: str, name: str, talk: Callable[[], int]) -> bool:
    """Have a conversation, and count it as failed if it raises; tells whether it went well.

    Args:
        environment: Locust's.
        kind: The protocol, for the table.
        name: What the table calls it.
        talk: Returns how many bytes it heard; raises `WrongAnswerError` or `OSError`.
    """
    began = time.perf_counter()
    reason: Exception | None = None
    heard = 0
    try:
        heard = talk()
    except (OSError, WrongAnswerError) as error:
        reason = error
    environment.events.request.fire(
        request_type=kind,
        name=name,
        response_time=(time.perf_counter() - began) * 1000,
        response_length=heard,
        exception=reason,
        context={},
    )
    return reason is None
