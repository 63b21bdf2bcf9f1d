"""Tell the backend of the client's certificate as RFC 9440 says.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgRfc9440ClientCertHeader``.
"""

import base64
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps

__all__ = ["NgRfc9440ClientCertHeader", "NgRfc9440ClientCertHeaderConfig"]


class NgRfc9440ClientCertHeaderConfig(Config, frozen=True):
    """Whether the chain is sent as well."""

    send_chain: Annotated[
        bool, Meta(description="Send the certificates between the client's and the root, too.")
    ] = True


class NgRfc9440ClientCertHeader(Plugin[NgRfc9440ClientCertHeaderConfig]):
    """Sets ``Client-Cert`` and ``Client-Cert-Chain``; a client's own are always taken out."""

    id = "cp:otoroshi.next.plugins.NgRfc9440ClientCertHeader"
    name = "Client certificate header (RFC 9440)"
    description = "Sends the client's certificate in the headers of RFC 9440."
    categories = ("Headers",)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        headers, certificate = exchange.request.headers, exchange.client_certificate
        headers.remove("Client-Cert")
        headers.remove("Client-Cert-Chain")
        if certificate is None:
            return
        own, *others = (f":{base64.b64encode(der).decode()}:" for der in certificate.chain)
        headers.set("Client-Cert", own)
        if self.config.send_chain and others:
            headers.set("Client-Cert-Chain", ", ".join(others))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("rfc9440_client_cert", Phase.TRANSFORM_REQUEST, self.config),)
