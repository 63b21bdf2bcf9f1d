"""From HTTP listeners to the sockets that are opened for them."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from oto_trio.control.addresses import host_problem
from oto_trio.control.supervisor.listeners import WantedListener
from oto_trio.gateway.frames import ListenerWays
from oto_trio.model.document import UNKNOWN_KEY, inspect_document, read_document
from oto_trio.model.errors import EntityError, Problem
from oto_trio.model.http_listener import HttpListener, ListenerSettings

__all__ = [
    "listener_ways",
    "read_http_listener",
    "wanted_by_http_listener",
    "wanted_by_settings",
]

logger = logging.getLogger(__name__)

KIND: Final = "http-listener"

_KEYS: Final = frozenset(
    field.encode_name
    for field in msgspec.structs.fields(ListenerSettings)
    if field.encode_name != UNKNOWN_KEY
)


def read_http_listener(document: bytes) -> HttpListener:
    """Read a listener from the JSON of the store.

    Raises:
        EntityError: What is wrong with it.
        msgspec.DecodeError: It is no JSON.
    """
    return read_document(HttpListener, msgspec.json.decode(document))


def listener_ways(config: ListenerSettings) -> ListenerWays:
    """Return what clients may speak on a listener; on its UDP port they speak HTTP/3 in place of the others.

    Raises:
        EntityError: Nothing.
    """
    http2 = config.http2 if config.tls else config.h2c
    if not config.http1 and not http2 and not _speaks_http3(config):
        names = "http1, http2 and http3" if config.tls else "http1 and h2c"
        what = f"nothing is spoken on the port: {names} are all false"
        raise EntityError(
            KIND, [Problem("$.config.http1", what, "set one of them to true, or enabled to false")]
        )
    return ListenerWays(
        secured=config.tls,
        client_auth=config.client_auth,
        http1=config.http1,
        http2=http2,
        exclusive=config.exclusive,
        access_log=config.access_log,
        exposed_port=config.port if config.exposed_port is UNSET else config.exposed_port,
    )


def _speaks_http3(config: ListenerSettings) -> bool:
    """Whether HTTP/3 is spoken: there is none without TLS."""
    return config.tls and config.http3


def wanted_by_http_listener(document: bytes) -> tuple[WantedListener, ...]:
    """Return the ports that a listener of the store asks for, of TCP and of UDP; none when it is disabled.

    Raises:
        EntityError: What is wrong with it.
        msgspec.DecodeError: It is no JSON.
    """
    return _wanted_by(read_http_listener(document))


def wanted_by_settings(
    rows: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, tuple[WantedListener, ...]], list[Problem]]:
    """Return what the listeners of the settings ask for.

    Args:
        rows: For each the keys of `ListenerSettings`, and an `id`. It is enabled unless it says otherwise.

    Returns:
        What is wanted, by the ids of those that are enabled; and what is wrong, with paths below the list.
    """
    wanted: dict[str, tuple[WantedListener, ...]] = {}
    seen: set[str] = set()
    problems: list[Problem] = []
    for index, row in enumerate(rows):
        config = {"enabled": True, **row}
        listener_id = config.pop("id", None)
        if not isinstance(listener_id, str) or not listener_id or listener_id in seen:
            fix = "give it one of its own: routes and plugin slots are bound to it by that"
            problems.append(Problem(f"[{index}].id", "a listener has to have an id", fix))
            continue
        seen.add(listener_id)
        for key in config.keys() - _KEYS:
            fix = f"write one of {', '.join(sorted(_KEYS))}"
            problems.append(Problem(f"[{index}].{key}", "there is no such key", fix))
        about = {"id": listener_id, "name": listener_id, "description": "", "config": config}
        try:
            listener, found = inspect_document(HttpListener, about)
            # A slip of the pen is a warning in an entity; a file of settings has none.
            if listener is None or found:
                raise EntityError(KIND, found)
            ports = _wanted_by(listener)
        except EntityError as error:
            problems += [
                Problem(f"[{index}]{it.path.removeprefix('$.config')}", it.message, it.fix)
                for it in error.problems
            ]
            continue
        if ports:
            wanted[listener_id] = ports
    return wanted, problems


def _wanted_by(listener: HttpListener) -> tuple[WantedListener, ...]:
    """Return the ports that a listener asks for.

    Raises:
        EntityError: What is wrong with it.
    """
    config = listener.config
    if not config.enabled:
        return ()
    ways = listener_ways(config)
    host = config.host.strip("[]")
    if (problem := host_problem("$.config.host", host)) is not None:
        raise EntityError(KIND, [problem])
    if config.http3 and not config.tls:
        logger.warning("%s: HTTP/3 is not spoken without TLS; set tls to true", listener.id)
    ports: list[WantedListener] = []
    one = WantedListener(listener.id, host, config.port, ways)
    if ways.http1 or ways.http2:
        ports.append(one)
    if _speaks_http3(config):
        alone = msgspec.structs.replace(ways, http1=False, http2=False)
        ports.append(msgspec.structs.replace(one, ways=alone, is_datagrams=True))
    return tuple(ports)
