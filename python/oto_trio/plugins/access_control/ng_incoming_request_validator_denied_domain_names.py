"""Refuse requests for some domains.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgIncomingRequestValidatorDeniedDomainNames``.
"""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Response, Step, steps
from oto_trio.plugin_api.domains import is_domain_in

__all__ = [
    "NgIncomingRequestValidatorDeniedDomainNames",
    "NgIncomingRequestValidatorDeniedDomainNamesConfig",
]


class NgIncomingRequestValidatorDeniedDomainNamesConfig(Config, frozen=True):
    """Which domains."""

    domains: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(description="Domain names; * stands for any text. Left out, every request passes."),
    ] = UNSET


class NgIncomingRequestValidatorDeniedDomainNames(
    Plugin[NgIncomingRequestValidatorDeniedDomainNamesConfig]
):
    """Refuses with 403, without a word why, requests for domains that are listed.

    In ``plugins.config.incoming_request_validators`` of the global config it looks at every request
    before there is a route; in a route it is a check like any other.
    """

    id = "cp:otoroshi.next.plugins.NgIncomingRequestValidatorDeniedDomainNames"
    name = "Globally denied domain names"
    description = "Refuses requests for the listed domains."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> Response | None:
        domains = self.config.domains
        if domains is UNSET or not is_domain_in(exchange.request.domain, domains):
            return None
        return Response(403)

    @override
    def lower(self) -> tuple[Step, ...]:
        domains = None if self.config.domains is UNSET else self.config.domains
        settings = steps.DomainNames(domains, listed_pass=False)
        return (steps.Native("domain_names", Phase.ACCESS, settings),)
