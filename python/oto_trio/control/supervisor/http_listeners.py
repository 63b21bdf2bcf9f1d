"""From HTTP listeners to the sockets that are opened for them."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

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
    return _wanted_by(read_http_listener(document))


def wanted_by_settings(
    rows: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, WantedListener], list[Problem]]:
    """Return what the listeners of the settings ask for.

    Args:
        rows: For each the keys of `ListenerSettings`, and an `id`. It is enabled unless it says otherwise.

    Returns:
        What is wanted, by the ids of those that are enabled; and what is wrong, with paths below the list.
    """
    wanted: dict[str, WantedListener] = {}
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
            one = _wanted_by(listener)
        except EntityError as error:
            problems += [
                Problem(f"[{index}]{it.path.removeprefix('$.config')}", it.message, it.fix)
                for it in error.problems
            ]
            continue
        if one is not None:
            wanted[listener_id] = one
    return wanted, problems


def _wanted_by(listener: HttpListener) -> WantedListener | None:
    """Return what a listener asks for.

    Raises:
        EntityError: What is wrong with it.
    """
    config = listener.config
    if not config.enabled:
        return None
    ways = listener_ways(config)
    if config.http3:
        logger.warning(
            "%s: HTTP/3 is not opened (config.http3); its port takes TCP only", listener.id
        )
    return WantedListener(listener.id, config.host.strip("[]"), config.port, ways)
