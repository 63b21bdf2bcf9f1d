"""The base class of every plugin: phases with quiet defaults.

A plugin is one class in one file that overrides the hooks it needs. A hook written ``def`` runs inline in
the pump: it must return at once and may not wait. A hook written ``async def`` runs in its own task,
which is cancelled when the downstream goes away or a deadline passes::

    class Teapot(Plugin):
        id = "cp:example.Teapot"
        name = "Teapot"
        description = "Refuses to brew coffee."
        categories = ("Other",)

        @override
        def access(self, exchange: Exchange) -> Refusal | None:
            if exchange.request.path == "/coffee":
                return Refusal(418, "short and stout")
            return None

The registry checks the class when it is loaded (see ``plugin_api.inspection``).
"""

from collections.abc import Awaitable
from typing import ClassVar, Generic, TypeAlias, get_args, get_origin

import msgspec
from typing_extensions import TypeVar, override

from oto_trio.plugin_api.answers import Answer
from oto_trio.plugin_api.exchange import Exchange
from oto_trio.plugin_api.steps import Step

__all__ = ["Plugin"]

ConfigT = TypeVar("ConfigT", bound=msgspec.Struct | None, default=None)
Hook: TypeAlias = Answer | Awaitable[Answer]


class Plugin(Generic[ConfigT]):
    """What a plugin is. ``Plugin[MyConfig]`` when it has a config, ``Plugin`` when it has none.

    One instance serves one slot of one route, for as long as that slot's config stays the same; it may
    keep state on itself. It is used by one Trio run, never by two threads.

    Args:
        config: The effective config of the slot; ``None`` for a plugin without one.
    """

    id: ClassVar[str]
    """Otoroshi's id, ``cp:`` and a dotted name; unique in a gateway."""
    name: ClassVar[str]
    """The short name people see."""
    description: ClassVar[str]
    """One sentence: what it does."""
    categories: ClassVar[tuple[str, ...]]
    """Otoroshi's categories; a built-in plugin lives in the folder of the first one."""
    reads_route: ClassVar[bool] = False
    """Whether it asks for the route's groups, domains or metadata in expressions of its own."""
    reads_arrived: ClassVar[bool] = False
    """Whether it asks for the request's fields as the client sent them, which are kept then."""
    multi_instance: ClassVar[bool] = True
    """Whether a route may have several slots of it; told to clients, never enforced, as in Otoroshi."""
    delegates: ClassVar[bool] = False
    """Whether its ``call_backend`` answers some requests only and leaves the others to the target."""
    Config: ClassVar[type[msgspec.Struct] | None] = None
    """The config struct, taken from the type argument of ``Plugin[...]``."""

    @override
    def __init_subclass__(cls) -> None:
        """Take ``Config`` from the base's type argument, unless the class sets it itself."""
        super().__init_subclass__()
        if "Config" in cls.__dict__:
            return
        for base in cls.__dict__.get("__orig_bases__", ()):
            arguments = get_args(base)
            if get_origin(base) is not None and arguments and isinstance(arguments[0], type):
                cls.Config = arguments[0] if issubclass(arguments[0], msgspec.Struct) else None

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def sink(self, exchange: Exchange) -> Hook:
        """Answer a request that no route takes; ``None`` leaves it to the next sink, and to the 404.

        Only asked of slots of the global config. ``exchange`` has neither route nor target.
        """
        return None

    def match_route(self, exchange: Exchange) -> bool:
        """Tell whether this route may take the request; every matcher of a route must agree.

        Only ``def``: routing never waits. ``exchange`` has no target and no response yet.
        """
        return True

    def pre_route(self, exchange: Exchange) -> Hook:
        """Act once the route is known, before any check."""
        return None

    def access(self, exchange: Exchange) -> Hook:
        """Let the caller go on (``None``) or answer in the backend's place."""
        return None

    def transform_request(self, exchange: Exchange) -> Hook:
        """Change the request the upstream will get, through ``exchange.request.headers``."""
        return None

    def call_backend(self, exchange: Exchange) -> Hook:
        """Answer in the backend's place; ``None`` forwards to the target."""
        return None

    def transform_response(self, exchange: Exchange) -> Hook:
        """Change the response head; an answer replaces the whole response."""
        return None

    def done(self, exchange: Exchange) -> Awaitable[None] | None:
        """See the exchange end: always runs, whatever failed, was refused or went away before."""
        return None

    def lower(self) -> tuple[Step, ...] | None:
        """Return the native steps that do the same for this config.

        ``None`` runs the Python hooks; ``()`` means there is nothing to do. The hooks of a plugin
        that lowers itself stay as its readable twin, and a property test compares the two.
        """
        return None
