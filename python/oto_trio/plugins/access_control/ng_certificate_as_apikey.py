"""Take a client's certificate for an API key.

Phases: pre_route. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgCertificateAsApikey``.
"""

import base64
import secrets
from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import ApiKey, Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.distinguished_names import normalised_name

__all__ = ["NgCertificateAsApikey", "NgCertificateAsApikeyConfig"]

_SERIAL_DIGITS = 128

Calls = Annotated[int, Meta(ge=0)]


class NgCertificateAsApikeyConfig(Config, frozen=True):
    """What the key is like that stands for a certificate without a stored one."""

    read_only: Annotated[bool, Meta(description="Only methods that read are meant for it.")] = False
    allow_client_id_only: Annotated[bool, Meta(description="Its id suffices as a credential.")] = (
        False
    )
    throttling_quota: Annotated[Calls, Meta(description="Calls in a throttling window.")] = 100
    daily_quota: Annotated[Calls, Meta(description="Calls a day.")] = 10_000_000
    monthly_quota: Annotated[Calls, Meta(description="Calls a month.")] = 10_000_000
    constrained_services_only: Annotated[
        bool, Meta(description="It is for routes that constrain their keys alone.")
    ] = False
    tags: Annotated[tuple[str, ...], Meta(description="Its tags.")] = ()
    metadata: Annotated[dict[str, str], Meta(description="Its metadata.")] = {}


class NgCertificateAsApikey(Plugin[NgCertificateAsApikeyConfig]):
    """Makes a client that has a certificate the caller, under the id base64("<subject>-<serial>").

    The subject is written as Otoroshi compares it (``OU=b, CN=a``), the serial number in decimal. A key that
    is stored under this id is taken, whatever it is authorised for. Without one, a key with the config's values
    stands for the certificate: its calls are counted under the same id, on every worker. Put ``ApikeyQuotas``
    behind it to hold count; ``ApikeyCalls`` lets the caller pass and counts only keys that it finds itself.

    Not as Otoroshi: the key that stands for a certificate is not stored, so that strangers write nothing into
    the store; create one under the same id to change what a client may do. A stored key that is disabled,
    expired or another organization's makes nobody a caller, and neither does a certificate that no trusted
    authority vouches for.
    """

    id = "cp:otoroshi.next.plugins.NgCertificateAsApikey"
    name = "Client certificate as apikey"
    description = "Takes the TLS client certificate for an API key."
    categories = ("AccessControl",)

    @override
    def pre_route(self, exchange: Exchange) -> None:
        certificate = exchange.client_certificate
        if (
            certificate is None
            or not certificate.is_trusted
            or not 0 < len(certificate.serial) <= _SERIAL_DIGITS
        ):
            return
        subject, serial = normalised_name(certificate.subject), int(certificate.serial, 16)
        client_id = base64.b64encode(f"{subject}-{serial}".encode()).decode()
        key = exchange.find_api_key(client_id)
        if key is None:
            key = self._key(
                client_id,
                f"{subject} ({serial})",
                certificate.not_after_s * 1000,
                exchange.route_id,
            )
        elif not key.is_enabled(exchange.unix_time) or not key.is_of_tenant(exchange.native()):
            return
        exchange.apikey = key

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("certificate_as_apikey", Phase.PRE_ROUTE, self.config),)

    def _key(self, client_id: str, name: str, valid_until_ms: int, route_id: str) -> ApiKey:
        """Return the key that stands for a certificate."""
        config = self.config
        document = {
            "clientId": client_id,
            "clientSecret": secrets.token_urlsafe(48),
            "clientName": name,
            "authorizations": [{"kind": "route", "id": route_id}],
            "validUntil": valid_until_ms,
            "readOnly": config.read_only,
            "allowClientIdOnly": config.allow_client_id_only,
            "throttlingQuota": config.throttling_quota,
            "dailyQuota": config.daily_quota,
            "monthlyQuota": config.monthly_quota,
            "constrainedServicesOnly": config.constrained_services_only,
            "tags": config.tags,
            "metadata": config.metadata,
        }
        return ApiKey.read(msgspec.json.encode(document))
