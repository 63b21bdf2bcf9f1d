"""The listeners of the settings: which sockets are opened for them before anything else is."""

import logging
import socket
from contextlib import ExitStack
from typing import Final

from oto_trio.control.addresses import ListenAddress
from oto_trio.control.settings import Settings
from oto_trio.control.supervisor.activation import Activation, ActivationError
from oto_trio.control.supervisor.listening import (
    Listener,
    bind_listener,
    bind_unix_listener,
    shared,
)
from oto_trio.control.supervisor.unix_sockets import UnixMode, read_mode, read_owner

__all__ = ["STANDARD_LISTENER", "bind_admin", "bind_fixed"]

logger = logging.getLogger(__name__)

STANDARD_LISTENER: Final = "standard-listener"
"""Otoroshi's name of the listener that serves every route not bound to another one."""


def bind_fixed(settings: Settings, slots: int, lent: Activation) -> list[Listener]:
    """Open the data listeners: those for plain HTTP, then those for HTTPS, then those for HTTP/3.

    All are the same listener to routes, as in Otoroshi.

    Args:
        settings: They have been judged already.
        slots: How many workers there are.
        lent: What a service manager opened, which is used in place of what the settings say.

    Raises:
        BindError: One of them cannot be opened; none is then.
    """
    allowed = _unix_mode(settings)
    with ExitStack() as opened:
        listeners: list[Listener] = []

        def add(listener: Listener) -> None:
            opened.callback(listener.close)
            listeners.append(listener)

        for secured, name, addresses, port in (
            (False, "http", settings.plain_addresses, settings.http_port),
            (True, "https", settings.secured_addresses, settings.https_port),
        ):
            if lent.of(name):
                logger.info("%s listens on sockets of the service manager", name)
                for sock in lent.of(name):
                    add(_lent(STANDARD_LISTENER, sock, secured=secured, slots=slots))
                continue
            for address in addresses:
                add(_bind(address, port or 0, allowed, secured=secured, slots=slots))
        secured_port = next((it.address[1] for it in listeners if it.secured and not it.path), 0)
        port = secured_port if settings.http3_port is None else settings.http3_port
        for address in settings.http3_addresses:
            datagrams = bind_listener(
                STANDARD_LISTENER,
                address.host,
                port,
                secured=True,
                slots=slots,
                is_v6_only=address.is_v6_only,
                datagrams=True,
            )
            add(datagrams)
            port = port or datagrams.address[1]
        opened.pop_all()
    return listeners


def bind_admin(settings: Settings, lent: Activation) -> tuple[Listener, ...]:
    """Open the admin API's listener when it is a Unix socket; a port it opens itself, and this none.

    Args:
        settings: They have been judged already.
        lent: What a service manager opened, which is used in place of what the settings say.

    Raises:
        BindError: It cannot be opened.
        ActivationError: There is more than one for it.
    """
    if lent.of("admin"):
        first, *others = lent.of("admin")
        if others:
            raise ActivationError(
                "the service manager handed over more than one socket named admin"
            )
        return (_lent("admin-api", first, secured=False, slots=1),)
    path = settings.admin_address.path
    if not path:
        return ()
    allowed = _unix_mode(settings)
    return (bind_unix_listener("admin-api", path, allowed, secured=False, slots=1),)


def _unix_mode(settings: Settings) -> UnixMode:
    """Return who may open the Unix sockets that are listened on."""
    return UnixMode(read_mode(settings.socket_mode), *read_owner(settings.socket_owner))


def _lent(name: str, sock: socket.socket, *, secured: bool, slots: int) -> Listener:
    """Make a listener of a socket that a service manager opened."""
    return Listener(name, secured, shared(sock, slots), is_lent=True)


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
