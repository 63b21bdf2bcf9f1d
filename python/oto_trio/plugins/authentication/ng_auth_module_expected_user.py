"""Require that a user is logged in.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgAuthModuleExpectedUser``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, steps

__all__ = ["NgAuthModuleExpectedUser", "NgAuthModuleExpectedUserConfig"]


class NgAuthModuleExpectedUserConfig(Config, frozen=True):
    """Whose users."""

    only_from: Annotated[
        tuple[str, ...], Meta(description="Ids of auth modules; empty takes the users of all.")
    ] = ()


class NgAuthModuleExpectedUser(Plugin[NgAuthModuleExpectedUserConfig]):
    """Refuses with 401 who is not logged in. It must come after the plugins that find users."""

    id = "cp:otoroshi.next.plugins.NgAuthModuleExpectedUser"
    name = "User logged in expected"
    description = "Lets only logged-in users through."
    categories = ("Authentication",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        user, modules = exchange.user, self.config.only_from
        if user is not None and (not modules or user.get("authConfigId") in modules):
            return None
        return Refusal(401, "You're not authorized here !", "errors.auth.unauthorized")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("expected_user", Phase.ACCESS, self.config),)
