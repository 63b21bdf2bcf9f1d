"""Tell clients that the same site is there over HTTP/3.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.Http3Switch``.
"""

from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps

__all__ = ["Http3Switch", "Http3SwitchConfig"]

TAKEN_FOR_GRANTED: Final = 443

Domain = Annotated[str, Meta(pattern=r"^[!#-\[\]-~]*(?!\n)$")]
Protocol = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?!\n)$")]


class Http3SwitchConfig(Config, frozen=True):
    """What clients are told."""

    ma: Annotated[
        int, Meta(ge=0, le=2**31 - 1, description="For how many seconds clients may remember it.")
    ] = 3600
    domain: Annotated[
        Domain | UnsetType | None,
        Meta(description="Where HTTP/3 is; null or empty for the domain that was asked."),
    ] = UNSET
    protocols: Annotated[
        tuple[Protocol, ...] | UnsetType,
        Meta(description="Their names in ALPN, the best one last; none for h3."),
    ] = UNSET


class Http3Switch(Plugin[Http3SwitchConfig]):
    """Sets ``alt-svc`` (RFC 7838) in responses, so that clients come over HTTP/3 from then on.

    The port is that of the listener the request came in by: its ``exposedPort``, and for the listener of the
    settings ``http3_exposed_port``, else where it takes HTTP/3. The engine knows it
    and adds it; the hook below takes 443 for granted. Where the listener does not speak HTTP/3, nothing is
    added: Otoroshi tells the port of its settings whatever the listener, also when nobody listens there. Responses to
    plain http have the header too, as in Otoroshi.

    Without ``protocols`` only ``h3`` is told: the drafts that Otoroshi's server names too are not spoken here.
    """

    id = "cp:otoroshi.next.plugins.Http3Switch"
    name = "Http3 traffic switch"
    description = "Tells clients with alt-svc that the site is there over HTTP/3."
    categories = ("Headers", "TrafficControl")

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        config = self.config
        protocols = () if config.protocols is UNSET else config.protocols
        domain = config.domain or ""
        entries = [
            f'{protocol}="{domain}:{TAKEN_FOR_GRANTED}"; ma={config.ma}'
            for protocol in reversed(protocols or ("h3",))
        ]
        exchange.response.headers.set("alt-svc", ", ".join(entries))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("http3_switch", Phase.TRANSFORM_RESPONSE, self.config),)
