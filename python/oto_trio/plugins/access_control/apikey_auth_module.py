"""Ask for an API key as a browser asks for a password.

Phases: pre_route.
Otoroshi: ``cp:otoroshi.next.plugins.ApikeyAuthModule``.
"""

from typing import Annotated, Any, cast

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Plugin, Response
from oto_trio.plugin_api.api_keys import basic_pair
from oto_trio.plugin_api.fields import HeaderValue
from oto_trio.plugins.access_control.apikey_calls import Routing, snake_routing

__all__ = ["ApikeyAuthModule", "ApikeyAuthModuleConfig"]


class ApikeyAuthModuleConfig(Config, frozen=True):
    """What the prompt says, and which keys are taken."""

    realm: Annotated[HeaderValue, Meta(description="What the prompt says.")] = (
        "apikey-auth-module-realm"
    )
    matcher: Annotated[
        Routing | None, Meta(description="What a key must carry; null asks nothing.")
    ] = None

    @classmethod
    @override
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Take the names of Otoroshi's older constraints."""
        matcher = raw.get("matcher")
        if isinstance(matcher, dict):
            raw["matcher"] = snake_routing(cast("dict[str, Any]", matcher))
        return raw


class ApikeyAuthModule(Plugin[ApikeyAuthModuleConfig]):
    """Lets a caller in by any enabled key of the route's organization, whatever the key may call.

    Otoroshi takes disabled and expired keys too, and those of other organizations; this one does not: to disable a
    key must end its use, and organizations share nothing.
    """

    id = "cp:otoroshi.next.plugins.ApikeyAuthModule"
    name = "Apikey auth module"
    description = "Asks for an API key as a browser asks for a password."
    categories = ("AccessControl",)

    @override
    def pre_route(self, exchange: Exchange) -> Response | None:
        scheme, _, encoded = (exchange.request.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return self._asking(401, b"<h3>not authorized</h3>")
        pair = basic_pair(encoded)
        if pair is None:
            return self._asking(403, b"<h3>forbidden</h3>")
        key = exchange.find_api_key(pair[0])
        matcher = self.config.matcher
        if (
            key is None
            or not key.has_secret(pair[1])
            or not key.is_enabled(exchange.unix_time)
            or not key.is_of_tenant(exchange.native())
            or (matcher is not None and not matcher.admits(key))
        ):
            return self._asking(401, b"<h3>not authorized</h3>")
        exchange.apikey = key
        return None

    def _asking(self, status: int, page: bytes) -> Response:
        """Return the answer that makes a browser ask."""
        fields = (
            ("Content-Type", "text/html; charset=utf-8"),
            ("WWW-Authenticate", f'Basic realm="{self.config.realm}"'),
        )
        return Response(status, fields, page)
