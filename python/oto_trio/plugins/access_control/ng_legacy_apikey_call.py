"""Require an API key on the paths that are not public.

Phases: match_route, access, transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgLegacyApikeyCall``.
"""

import re
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Answer, Exchange
from oto_trio.plugins.access_control.apikey_calls import ApikeyCalls, ApikeyCallsConfig

__all__ = ["NgLegacyApikeyCall", "NgLegacyApikeyCallConfig"]


class NgLegacyApikeyCallConfig(ApikeyCallsConfig, frozen=True):
    """Which paths are open, and which keys are taken on the others."""

    public_patterns: Annotated[
        tuple[str, ...], Meta(description="Patterns of whole paths that need no key.")
    ] = ()
    private_patterns: Annotated[
        tuple[str, ...], Meta(description="Patterns of whole paths that need one all the same.")
    ] = ()


class NgLegacyApikeyCall(ApikeyCalls):
    """Does what ``ApikeyCalls`` does, but on public paths and for logged-in users.

    Otoroshi looks for a key on public paths too when the service asks for it (detectApiKeySooner), which no
    route can say.
    """

    id = "cp:otoroshi.next.plugins.NgLegacyApikeyCall"
    name = "Legacy apikeys"
    description = "Lets callers in by their API key, with public and private paths."
    categories = ("AccessControl", "Classic")
    Config = NgLegacyApikeyCallConfig

    @override
    def access(self, exchange: Exchange) -> Answer:
        if exchange.user is not None or self._is_public(exchange.request.path):
            if not self.config.wipe_backend_request:
                self._keep(exchange)
            return None
        return super().access(exchange)

    def _is_public(self, path: str) -> bool:
        """Tell whether a path needs no key."""
        config = self.config
        assert isinstance(config, NgLegacyApikeyCallConfig)

        def matches(patterns: tuple[str, ...]) -> bool:
            return any(re.fullmatch(pattern, path) for pattern in patterns)

        return not matches(config.private_patterns) and matches(config.public_patterns)
