"""Open some paths to all, and the others to callers that are known.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.PublicPrivatePaths``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, steps
from oto_trio.plugin_api.patterns import Pattern, pattern_fault

__all__ = ["PublicPrivatePaths", "PublicPrivatePathsConfig"]


class PublicPrivatePathsConfig(Config, frozen=True):
    """Which paths."""

    strict: Annotated[bool, Meta(description="Take API keys only, and no users.")] = False
    private_patterns: Annotated[
        tuple[str, ...],
        Meta(description="Regular expressions for whole paths that are never open."),
    ] = ()
    public_patterns: Annotated[
        tuple[str, ...], Meta(description="Regular expressions for whole paths that are open.")
    ] = ()

    def __post_init__(self) -> None:
        """Refuse a pattern that is none when the config is read."""
        for name in ("private_patterns", "public_patterns"):
            patterns: tuple[str, ...] = getattr(self, name)
            for place, pattern in enumerate(patterns):
                fault = pattern_fault(pattern)
                if fault is not None:
                    raise ValueError(f"{name}[{place}]: {fault}")


class PublicPrivatePaths(Plugin[PublicPrivatePathsConfig]):
    """Refuses with 401 a caller without API key or login, unless the path is public and not private.

    It must come after the plugins that find keys and users.
    """

    id = "cp:otoroshi.next.plugins.PublicPrivatePaths"
    name = "Public/Private paths"
    description = "Opens some paths to all, and the others to callers with an API key or a login."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        path, config = exchange.request.path, self.config
        is_private = any(Pattern(each).matches(path) for each in config.private_patterns)
        is_public = any(Pattern(each).matches(path) for each in config.public_patterns)
        is_user = exchange.user is not None and not config.strict
        if (is_public and not is_private) or exchange.apikey is not None or is_user:
            return None
        return Refusal(401, "Not authorized", "errors.unauthorized")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("public_private_paths", Phase.ACCESS, self.config),)
