"""Tell the backend of the client's certificate in Otoroshi's header fields.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgClientCertChainHeader``.
"""

import base64
import json
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    ClientCertificate,
    Config,
    Exchange,
    HeaderName,
    Phase,
    Plugin,
    Step,
    steps,
)
from oto_trio.plugin_api.distinguished_names import certificate_chain, normalised_name
from oto_trio.plugin_api.fields import writable_name

__all__ = ["NgClientCertChainHeader", "NgClientCertChainHeaderConfig"]


class NgClientCertChainHeaderConfig(Config, frozen=True):
    """What is sent, and under which names."""

    send_pem: Annotated[bool, Meta(description="Send the chain in PEM, each on one line.")] = False
    pem_header_name: Annotated[HeaderName, Meta(description="Header of the PEM.")] = (
        "X-Client-Cert-Pem"
    )
    send_dns: Annotated[bool, Meta(description="Send the subjects as a JSON array.")] = False
    dns_header_name: Annotated[HeaderName, Meta(description="Header of the subjects.")] = (
        "X-Client-Cert-DNs"
    )
    send_chain: Annotated[bool, Meta(description="Send facts of the chain as JSON.")] = False
    chain_header_name: Annotated[HeaderName, Meta(description="Header of the facts.")] = (
        "X-Client-Cert-Chain"
    )

    def __post_init__(self) -> None:
        """Refuse a header that a plugin cannot write when the config is read."""
        for key in ("pem_header_name", "dns_header_name", "chain_header_name"):
            writable_name(key, getattr(self, key))


class NgClientCertChainHeader(Plugin[NgClientCertChainHeaderConfig]):
    """Sends the client's certificate and its chain; nothing when there is none.

    A client's own fields of these names are taken out in any case, which Otoroshi does not do: it could
    claim a certificate it does not have. What is not ASCII in the JSON is escaped.
    """

    id = "cp:otoroshi.next.plugins.NgClientCertChainHeader"
    name = "Client certificate header"
    description = "Sends client certificate data to the backend in headers."
    categories = ("Headers",)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        config, certificate = self.config, exchange.client_certificate
        for is_wanted, name, value_of in (
            (config.send_pem, config.pem_header_name or "X-Client-Cert-Pem", _pem),
            (config.send_dns, config.dns_header_name or "X-Client-Cert-DNs", _names),
            (config.send_chain, config.chain_header_name or "X-Client-Cert-Chain", _chain),
        ):
            if is_wanted:
                exchange.request.headers.remove(name)
                if certificate is not None:
                    exchange.request.headers.set(name, value_of(certificate))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("client_cert_chain", Phase.TRANSFORM_REQUEST, self.config),)


def _pem(certificate: ClientCertificate) -> str:
    return ",".join(
        f"-----BEGIN CERTIFICATE----- {base64.b64encode(der).decode()} -----END CERTIFICATE-----"
        for der in certificate.chain
    )


def _names(certificate: ClientCertificate) -> str:
    return _json([normalised_name(one.subject) for one in certificate.certificates()])


def _chain(certificate: ClientCertificate) -> str:
    return _json(certificate_chain(certificate))


def _json(value: object) -> str:
    """Return JSON in ASCII, members in the order of their names, as the engine writes it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
