"""All listening sockets of the data plane: those of the settings, and those that entities ask for.

The first are there for as long as the gateway runs. The second come and go while it does: `reconcile` compares what
is wanted with what is there, opens and closes what differs, and leaves every other socket alone. An address that
cannot be opened is told, and tried again by the next call.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from oto_trio.control.supervisor.listening import BindError, Listener, bind_listener

__all__ = ["ListenerChanges", "ListenerSet", "WantedListener"]

logger = logging.getLogger(__name__)

_TOKENS: Final = itertools.count(1)


class WantedListener(msgspec.Struct, frozen=True):
    """A listener that entities ask for.

    Attributes:
        name: Its name, which is all the engine knows of it.
        host: An IPv4 or IPv6 address.
        port: The port, not 0.
        secured: Whether the engine speaks TLS on it before anything else.
        is_tcp: Whether it is for TCP services; otherwise it takes HTTP.
    """

    name: str
    host: str
    port: int
    secured: bool = False
    is_tcp: bool = False


class ListenerChanges(msgspec.Struct, frozen=True):
    """What differs between what is wanted and what is there.

    Attributes:
        gone: Listeners that nobody wants any more; still open, see `ListenerSet.close`.
        missing: What is wanted and not there.
    """

    gone: tuple[Listener, ...]
    missing: tuple[WantedListener, ...]


class ListenerSet:
    """The listening sockets, and how they change.

    Args:
        fixed: The listeners of the settings.
        bind: Opens a listener; raises `BindError`.
    """

    def __init__(
        self,
        fixed: Sequence[Listener],
        bind: Callable[..., Listener] = bind_listener,
    ) -> None:
        self.fixed = tuple(fixed)
        """The listeners of the settings."""
        self._bind = bind
        self._open: dict[WantedListener, Listener] = {}
        self._failures: dict[WantedListener, str] = {}
        self._is_closed = False

    @property
    def slots(self) -> int:
        """How many sockets each listener has: one a worker slot."""
        return len(self.fixed[0].sockets)

    @property
    def current(self) -> tuple[Listener, ...]:
        """Every listener that is open, those of the settings first."""
        return (*self.fixed, *self._open.values())

    @property
    def failures(self) -> Mapping[WantedListener, str]:
        """What is wanted and cannot be opened, and why."""
        return self._failures

    def compare(self, wanted: Iterable[WantedListener]) -> ListenerChanges:
        """Compare what is wanted with what is there."""
        wanted = tuple(dict.fromkeys(wanted))
        gone = tuple(it for key, it in self._open.items() if key not in wanted)
        missing = tuple(key for key in wanted if key not in self._open)
        for key in [key for key in self._failures if key not in wanted]:
            del self._failures[key]
        return ListenerChanges(gone, missing)

    def open(self, wanted: WantedListener) -> Listener | None:
        """Open a listener; None when it cannot be, which is logged when the reason is new."""
        if self._is_closed:
            return None
        try:
            bound = self._bind(
                wanted.name, wanted.host, wanted.port, secured=wanted.secured, slots=self.slots
            )
        except BindError as error:
            if self._failures.get(wanted) != str(error):
                logger.error("%s does not listen, and is tried again: %s", wanted.name, error)
            self._failures[wanted] = str(error)
            return None
        self._failures.pop(wanted, None)
        listener = msgspec.structs.replace(bound, token=next(_TOKENS), is_tcp=wanted.is_tcp)
        self._open[wanted] = listener
        logger.info("%s listens", wanted.name)
        return listener

    def close(self, listener: Listener) -> None:
        """Close a listener; connections that were accepted on it go on."""
        for key in [key for key, known in self._open.items() if known is listener]:
            del self._open[key]
            logger.info("%s listens no more", key.name)
        listener.close()

    def close_all(self) -> None:
        """Close every listener; none is opened any more. Idempotent."""
        self._is_closed = True
        for listener in self.current:
            listener.close()
        self._open.clear()
