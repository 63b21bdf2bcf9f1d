"""Keep redirects of the backend behind the gateway.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.OverrideLocationHeader``.
"""

import re
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps

__all__ = ["OverrideLocationHeader", "OverrideLocationHeaderConfig"]

_ABSOLUTE = re.compile(r"(?i:https?)://([^/?#]*)(.*)", re.DOTALL)


class OverrideLocationHeaderConfig(Config, frozen=True):
    """Which hosts are the backend's."""

    matching_hostnames: Annotated[
        tuple[str, ...],
        Meta(description="Host names that count as the backend's, besides its own."),
    ] = ()


class OverrideLocationHeader(Plugin[OverrideLocationHeaderConfig]):
    """Rewrites an absolute ``Location`` that names the backend, for statuses 201 and 300 to 399.

    It then names the scheme and host that the client asked for, and the backend's root is taken off the
    path, where it is a whole segment of it.
    """

    id = "cp:otoroshi.next.plugins.OverrideLocationHeader"
    name = "Override Location header"
    description = "Rewrites a Location that points at the backend."
    categories = ("Headers",)

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        status, headers = exchange.response.status, exchange.response.headers
        found = _ABSOLUTE.fullmatch(headers.get("Location") or "")
        if found is None or not (status == 201 or 300 <= status <= 399):
            return
        host, rest = _host(found[1]), found[2]
        own = exchange.target_hostname
        is_backend = own is not None and own.lower() == host.lower()
        if not is_backend and host not in self.config.matching_hostnames:
            return
        root = exchange.backend_root.removesuffix("/")
        if rest.startswith(root) and rest[len(root) : len(root) + 1] in ("", "/", "?", "#"):
            rest = rest[len(root) :]
        scheme = "https" if exchange.secured else "http"
        request = exchange.request
        port = request.host[len(request.domain) :]
        headers.set("Location", f"{scheme}://{request.domain}{port}{rest}")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("override_location", Phase.TRANSFORM_RESPONSE, self.config),)


def _host(authority: str) -> str:
    """Return the host of an authority, without user and port."""
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        return host.partition("]")[0] + "]" if "]" in host else host
    return host.partition(":")[0]
