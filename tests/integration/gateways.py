"""Whole gateways that start with what a test declares, and the certificates that they show and believe."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.conformance.tls.secure import authority, ca_certificate, certificate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    import trustme

__all__ = ["HTTP3", "HTTPS", "declared_gateway", "shown", "trusted", "written"]

HTTPS: Final = ("--https-port", "0")
HTTP3: Final = ("--http3-port", "0")


def shown(*names: str, entity_id: str = "server") -> dict[str, Any]:
    """A certificate entity for these names, of the authority of the tests."""
    return {"id": entity_id, "name": entity_id, **json.loads(certificate(*names))}


def trusted(ca: trustme.CA | None = None, entity_id: str = "ca") -> dict[str, Any]:
    """An authority as a certificate entity; that of the tests when none is given."""
    return {"id": entity_id, "name": entity_id, **json.loads(ca_certificate(ca or authority()))}


def written(document: Mapping[str, Any], folder: Path) -> Path:
    """Write a configuration as `declared_gateway` has it read; returns the file."""
    file = folder / "gateway.json"
    file.write_text(json.dumps(document))
    return file


@asynccontextmanager
async def declared_gateway(
    document: Mapping[str, Any], folder: Path, *arguments: str
) -> AsyncGenerator[GatewayProcess]:
    """Run a gateway with settings and entities.

    Args:
        document: What its configuration file says.
        folder: For that file, ``gateway.json``, and in ``data`` what the gateway keeps.
        arguments: More of `serve`, such as `HTTPS`; without any it has one worker and speaks no TLS.
    """
    options = ("--workers", "1", "--config", str(written(document, folder)), *arguments)
    async with gateway_process(*options, data=folder / "data") as gateway:
        yield gateway
