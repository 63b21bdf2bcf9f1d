"""All listening sockets of the data plane: those of the settings, and those that entities ask for.

The first are there for as long as the gateway runs. The second come and go while it does: `reconcile` compares what
is wanted with what is there, opens and closes what differs, and leaves every other socket alone. An address that
cannot be opened is told, and tried again by the next call.
"""

import errno
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from oto_trio.control.supervisor.listening import BindError, Listener, bind_listener
from oto_trio.gateway.frames import ListenerWays

__all__ = ["ListenerChanges", "ListenerSet", "WantedListener"]

logger = logging.getLogger(__name__)

_EVERY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 (nothing is bound by it)
_TOKENS: Final = itertools.count(1)


class WantedListener(msgspec.Struct, frozen=True):
    """A listener that entities ask for.

    Attributes:
        name: Its name, which is all the engine knows of it.
        host: An IPv4 or IPv6 address.
        port: The port, not 0.
        ways: What clients may speak on it.
        is_tcp: Whether it is for TCP services; otherwise it takes HTTP.
        is_datagrams: Whether it takes HTTP/3, on UDP; `secured` then.
    """

    name: str
    host: str
    port: int
    ways: ListenerWays = ListenerWays()
    is_tcp: bool = False
    is_datagrams: bool = False

    @property
    def place(self) -> "WantedListener":
        """What tells apart its sockets: all of it but the ways, which change while they stay open."""
        return msgspec.structs.replace(self, ways=ListenerWays())


class ListenerChanges(msgspec.Struct, frozen=True):
    """What differs between what is wanted and what is there.

    Attributes:
        gone: Listeners that nobody wants any more; still open, see `ListenerSet.close`.
        missing: What is wanted and not there.
        changed: What is there, and is to go other ways; see `ListenerSet.retune`.
    """

    gone: tuple[Listener, ...]
    missing: tuple[WantedListener, ...]
    changed: tuple[WantedListener, ...] = ()


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
        by_place = {it.place: it for it in wanted}
        gone = tuple(it for place, it in self._open.items() if place not in by_place)
        missing = tuple(it for place, it in by_place.items() if place not in self._open)
        changed = tuple(
            it
            for place, it in by_place.items()
            if place in self._open and not it.is_tcp and self._open[place].ways != it.ways
        )
        for place in [place for place in self._failures if place not in by_place]:
            del self._failures[place]
        return ListenerChanges(gone, missing, changed)

    def open(self, wanted: WantedListener) -> Listener | None:
        """Open a listener; None when it cannot be, which is logged when the reason is new."""
        if self._is_closed:
            return None
        try:
            more = {"datagrams": True} if wanted.is_datagrams else {}
            bound = self._bind(
                wanted.name,
                wanted.host,
                wanted.port,
                secured=wanted.ways.secured,
                slots=self.slots,
                **more,
            )
        except BindError as error:
            told = self._told(error, wanted)
            if self._failures.get(wanted.place) != told:
                logger.error("%s does not listen, and is tried again: %s", wanted.name, told)
            self._failures[wanted.place] = told
            return None
        self._failures.pop(wanted.place, None)
        listener = msgspec.structs.replace(
            bound, token=next(_TOKENS), is_tcp=wanted.is_tcp, ways=wanted.ways
        )
        self._open[wanted.place] = listener
        logger.info("%s listens at %s", wanted.name, _shown(listener))
        return listener

    def retune(self, wanted: WantedListener) -> Listener:
        """Note that a listener goes other ways from now on, and return it; the workers have to be told."""
        listener = msgspec.structs.replace(
            self._open[wanted.place], ways=wanted.ways, secured=wanted.ways.secured
        )
        self._open[wanted.place] = listener
        logger.info("%s listens at %s, with other settings", wanted.name, _shown(listener))
        return listener

    def _told(self, error: BindError, wanted: WantedListener) -> str:
        """Say why a listener cannot be opened; name the one of this gateway that is in the way."""
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            for other in self.current:
                host, port = other.address
                meet = host == wanted.host or not _EVERY.isdisjoint({host, wanted.host})
                if port == wanted.port and meet and other.is_datagrams == wanted.is_datagrams:
                    return f"port {port} is that of {other.name} ({host}); choose another port"
        return str(error)

    def close(self, listener: Listener) -> None:
        """Close a listener; connections that were accepted on it go on."""
        for key in [key for key, known in self._open.items() if known is listener]:
            del self._open[key]
            logger.info("%s listens no more at %s", key.name, _shown(listener))
        listener.close()

    def close_all(self) -> None:
        """Close every listener; none is opened any more. Idempotent."""
        self._is_closed = True
        for listener in self.current:
            listener.close()
        self._open.clear()


def _shown(listener: Listener) -> str:
    """Say where a listener is, and where clients find it when that is elsewhere."""
    shown = f"{listener.url} over HTTP/3" if listener.is_datagrams else listener.url
    exposed = None if listener.ways is None else listener.ways.exposed_port
    return shown if exposed in (None, listener.address[1]) else f"{shown}, exposed as {exposed}"
