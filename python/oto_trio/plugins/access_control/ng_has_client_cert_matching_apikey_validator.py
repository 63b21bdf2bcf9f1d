"""Let an API key be used only with the certificate that belongs to it.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgHasClientCertMatchingApikeyValidator``.
"""

from typing import Final

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Phase, Plugin, Refusal, Step, steps
from oto_trio.plugin_api.certificate_rules import matches_name
from oto_trio.plugin_api.distinguished_names import normalised_name

__all__ = ["NgHasClientCertMatchingApikeyValidator"]

ALLOWED_NAME: Final = "allowed-client-cert-dn"
"""Where an API key's metadata says which certificates may use it."""


class NgHasClientCertMatchingApikeyValidator(Plugin):
    """Refuses with 403 unless the subject of the client's certificate is the one its API key names.

    The key's metadata ``allowed-client-cert-dn`` is a distinguished name in which ``*`` stands for any
    text; its parts may be in any order. No certificate, no key or no such metadata is a 403 as well. The
    plugin that finds the key has to run before.
    """

    id = "cp:otoroshi.next.plugins.NgHasClientCertMatchingApikeyValidator"
    name = "Client Certificate + Api Key only"
    description = "Requires the client certificate's name to match the API key's metadata."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        certificate, apikey = exchange.client_certificate, exchange.apikey
        allowed = apikey.metadata.get(ALLOWED_NAME) if apikey is not None else None
        if certificate is None or allowed is None:
            return Refusal(403, "forbidden")
        is_the_keys = matches_name(allowed, normalised_name(certificate.subject))
        return None if is_the_keys else Refusal(403, "forbidden")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("client_cert_of_apikey", Phase.ACCESS),)
