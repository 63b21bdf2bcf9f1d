"""Let only requests through that are signed with a shared secret.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.HMACValidator``.
"""

from functools import cached_property
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderName, Phase, Plugin, Response, Step, steps
from oto_trio.plugin_api.signatures import HmacVerifier

__all__ = ["HMACValidator", "HMACValidatorConfig"]

REFUSED = Response(400)


class HMACValidatorConfig(Config, frozen=True, rename="camel"):
    """The secret, and where the signature is."""

    secret: Annotated[
        str | None,
        Meta(description="What caller and gateway share; without one the API key's secret is."),
    ] = None
    authorization_header: Annotated[
        HeaderName | None,
        Meta(description="The header with the signature; without one Authorization is."),
    ] = None


class HMACValidator(Plugin[HMACValidatorConfig]):
    """Refuses with an empty 400 a request without a valid ``hmac`` signature.

    The credentials read ``hmac algorithm="hmac-sha256", headers="Date X-Order", signature="…"``; signed
    are the values of the listed headers, in the request's order, joined by spaces. They are looked for in
    the configured header, else in the one of ``Authorization`` and ``Proxy-Authorization`` that is there.

    Stricter than Otoroshi where no client can depend on it: a signature over no header, or one that
    lists a header the request lacks, is refused; header names may be in any letter case.
    """

    id = "cp:otoroshi.next.plugins.HMACValidator"
    name = "HMAC access validator"
    description = "Checks an HMAC signature header."
    categories = ("AccessControl",)

    @cached_property
    def _verifier(self) -> HmacVerifier:
        """The engine's own check."""
        return HmacVerifier(self.config.secret or "", self.config.authorization_header or None)

    @override
    def access(self, exchange: Exchange) -> Response | None:
        is_signed = self._verifier.verify(exchange.request.headers.items(), exchange)
        return None if is_signed else REFUSED

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("hmac_validator", Phase.ACCESS, self.config),)
