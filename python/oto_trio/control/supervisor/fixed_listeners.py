"""The listeners of the settings: which sockets are opened for them before anything else is."""

from contextlib import ExitStack
from typing import Final

from oto_trio.control.addresses import ListenAddress
from oto_trio.control.settings import Settings
from oto_trio.control.supervisor.listening import Listener, bind_listener, bind_unix_listener
from oto_trio.control.supervisor.unix_sockets import UnixMode, read_mode, read_owner

__all__ = ["STANDARD_LISTENER", "bind_admin", "bind_fixed"]

STANDARD_LISTENER: Final = "standard-listener"
"""Otoroshi's name of the listener that serves every route not bound to another one."""


def bind_fixed(settings: Settings, slots: int) -> list[Listener]:
    """Open the data listeners: those for plain HTTP, then those for HTTPS.

    All are the same listener to routes, as in Otoroshi.

    Args:
        settings: They have been judged already.
        slots: How many workers there are.

    Raises:
        BindError: One of them cannot be opened; none is then.
    """
    allowed = _unix_mode(settings)
    wanted = [
        *((address, settings.http_port, False) for address in settings.plain_addresses),
        *((address, settings.https_port or 0, True) for address in settings.secured_addresses),
    ]
    with ExitStack() as opened:
        listeners: list[Listener] = []
        for address, port, secured in wanted:
            listener = _bind(address, port, allowed, secured=secured, slots=slots)
            opened.callback(listener.close)
            listeners.append(listener)
        opened.pop_all()
    return listeners


def bind_admin(settings: Settings) -> tuple[Listener, ...]:
    """Open the admin API's listener when it is a Unix socket; a port it opens itself, and this none.

    Raises:
        BindError: It cannot be opened.
    """
    path = settings.admin_address.path
    if not path:
        return ()
    allowed = _unix_mode(settings)
    return (bind_unix_listener("admin-api", path, allowed, secured=False, slots=1),)


def _unix_mode(settings: Settings) -> UnixMode:
    """Return who may open the Unix sockets that are listened on."""
    return UnixMode(read_mode(settings.socket_mode), *read_owner(settings.socket_owner))


def _bind(
    address: ListenAddress, port: int, allowed: UnixMode, *, secured: bool, slots: int
) -> Listener:
    """Open one listener."""
    if address.path:
        return bind_unix_listener(
            STANDARD_LISTENER, address.path, allowed, secured=secured, slots=slots
        )
    return bind_listener(
        STANDARD_LISTENER,
        address.host,
        port,
        secured=secured,
        slots=slots,
        is_v6_only=address.is_v6_only,
    )
