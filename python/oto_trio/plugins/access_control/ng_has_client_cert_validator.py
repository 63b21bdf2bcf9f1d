"""Let only clients in that have a certificate.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgHasClientCertValidator``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Phase, Plugin, Refusal, Step, steps

__all__ = ["NgHasClientCertValidator"]


class NgHasClientCertValidator(Plugin):
    """Refuses with 403 a client that proved no certificate in its TLS handshake.

    The listener has to ask for one (client authentication Want or Need).
    """

    id = "cp:otoroshi.next.plugins.NgHasClientCertValidator"
    name = "Client Certificate Only"
    description = "Requires a TLS client certificate."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        return Refusal(403, "forbidden") if exchange.client_certificate is None else None

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("has_client_cert", Phase.ACCESS),)
