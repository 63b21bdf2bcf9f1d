"""Let only some methods through.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.AllowHttpMethods``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Plugin, Refusal, Step, steps

__all__ = ["AllowHttpMethods", "AllowHttpMethodsConfig"]


class AllowHttpMethodsConfig(Config, frozen=True):
    """Which methods."""

    allowed: Annotated[
        tuple[str, ...],
        Meta(description="Methods let through, in any case; empty lets none through."),
    ] = ()
    forbidden: Annotated[
        tuple[str, ...], Meta(description="Methods refused even when they are allowed.")
    ] = ()


class AllowHttpMethods(Plugin[AllowHttpMethodsConfig]):
    """Refuses with 405 a method that is not allowed or is forbidden; an empty ``allowed`` refuses all."""

    id = "cp:otoroshi.next.plugins.AllowHttpMethods"
    name = "Allowed HTTP methods"
    description = "Lets only the allowed HTTP methods through."
    categories = ("AccessControl", "Classic")

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        method = exchange.request.method.upper()
        allowed = {name.upper() for name in self.config.allowed}
        forbidden = {name.upper() for name in self.config.forbidden}
        if method in allowed - forbidden:
            return None
        return Refusal(405, "Method not allowed", "errors.method.not.allowed")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.AllowMethods(self.config.allowed, self.config.forbidden),)
