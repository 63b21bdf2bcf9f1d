"""TLS towards a server in the older words of Otoroshi's JSON, where it is called ``mtlsConfig``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.model.document import Document, JsonObject

__all__ = ["MtlsConfig"]


class MtlsConfig(Document, frozen=True, kw_only=True, rename="camel"):
    """Client certificates and trust, for a server that is called."""

    certs: Annotated[
        tuple[str, ...], Meta(description="ids of the client certificates to present")
    ] = ()
    trusted_certs: Annotated[
        tuple[str, ...], Meta(description="ids of the certificates to trust")
    ] = ()
    mtls: Annotated[bool, Meta(description="use these settings at all")] = False
    loose: Annotated[bool, Meta(description="do not check the server's host name")] = False
    trust_all: Annotated[bool, Meta(description="trust any certificate")] = False

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept one certificate id under ``certId``, and ``tls`` for ``mtls``."""
        full = dict(raw)
        single = full.pop("certId", None)
        if "certs" not in full and isinstance(single, str):
            full["certs"] = [single]
        older = full.pop("tls", None)
        if "mtls" not in full and isinstance(older, bool):
            full["mtls"] = older
        return full
