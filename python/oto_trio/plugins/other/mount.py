"""Have an application of this process answer.

Phases: call_backend.
Our own: ``cp:oto_trio.plugins.Mount``.
"""

import re
from typing import Annotated, Final, Literal

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Plugin

__all__ = ["Mount", "MountConfig"]

PLACE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class MountConfig(Config, frozen=True):
    """Which application."""

    app: Annotated[
        str,
        Meta(
            description="Where it is, as in package.module:name; the setting mounts has to allow it."
        ),
    ]
    kind: Annotated[
        Literal["asgi", "wsgi", "function"],
        Meta(description="How it is called: by ASGI (on Trio), by WSGI, or with a request."),
    ] = "asgi"

    def __post_init__(self) -> None:
        """Refuse what names nothing that could be imported when the config is read."""
        if not PLACE.fullmatch(self.app):
            raise ValueError(f"app: {self.app!r} is no place; write it like package.module:name")


class Mount(Plugin[MountConfig]):
    """Hands requests to an ASGI application, a WSGI application or a function, without a network between.

    The route's steps see request and response as with any backend, bodies stream both ways with back-pressure,
    and a client that leaves cancels the call. The backend of the route needs no target; its root, its rewriting
    and its time-outs count. What may be called is not for the route to say but for the static setting
    ``mounts``, which names nothing unless it is set: an application that it does not name is answered with 502.
    """

    id = "cp:oto_trio.plugins.Mount"
    name = "Mounted application"
    description = "Lets an application in the gateway's own process answer."
    categories = ("Other",)

    @override
    def call_backend(self, exchange: Exchange) -> None:
        exchange.mount(f"{self.config.kind} {self.config.app}")
