"""From the targets of a service descriptor, and how they are called, to those of a route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from oto_trio.model.backend import Target, TargetTls
from oto_trio.model.client_settings import ClientSettings
from oto_trio.model.document import read_document
from oto_trio.model.errors import EntityError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oto_trio.model.service_parts import ClientConfig, ServiceTarget

__all__ = ["convert_client", "convert_targets"]

_PORTS: Final = {"http": 80, "https": 443}


def convert_targets(
    path: str, listed: Sequence[ServiceTarget]
) -> tuple[tuple[Target, ...], list[Problem]]:
    """Convert targets.

    Args:
        path: Where they stand.
        listed: They.

    Returns:
        The targets and what is wrong. One whose address is none is an error: it may be the one that
        was meant.
    """
    targets: list[Target] = []
    problems: list[Problem] = []
    for place, target in enumerate(listed):
        try:
            targets.append(_target(target))
        except EntityError:
            at = f"{path}[{place}].host"
            told = f"{target.host!r} is no host with or without a port; the service answers 503"
            problems.append(Problem(at, told, "write HOST or HOST:PORT"))
    return tuple(targets), problems


def _target(target: ServiceTarget) -> Target:
    """Convert one target.

    Raises:
        EntityError: Its host is no host name with or without a port.
    """
    host, port = _address(target)
    tls = target.mtls_config
    written: dict[str, Any] = {
        "id": next(iter(target.tags), target.host),
        "hostname": host,
        "port": port,
        "tls": target.scheme.lower() == "https",
        "weight": target.weight,
        "backup": target.backup,
        "predicate": msgspec.to_builtins(target.predicate),
        "protocol": target.protocol,
        "ip_address": target.ip_address,
        "tls_config": msgspec.to_builtins(
            TargetTls(
                certs=tls.certs,
                trusted_certs=tls.trusted_certs,
                enabled=tls.mtls,
                loose=tls.loose,
                trust_all=tls.trust_all,
            )
        ),
    }
    return read_document(Target, written)


def _address(target: ServiceTarget) -> tuple[str, int]:
    """Take a target's host apart: `HOST`, `HOST:PORT`, or an address in brackets."""
    host, colon, port = target.host.rpartition(":")
    if not colon or target.host.endswith("]"):
        return target.host.strip("[]"), _PORTS.get(target.scheme.lower(), 80)
    return host.strip("[]"), int(port) if port.isascii() and port.isdigit() else 0


def convert_client(legacy: ClientConfig) -> ClientSettings:
    """Convert the client's settings: the same in snake_case."""
    written: dict[str, Any] = msgspec.to_builtins(legacy)
    fields = {field.encode_name: field.name for field in msgspec.structs.fields(type(legacy))}
    settings = {fields.get(key, key): value for key, value in written.items()}
    settings.pop("use_circuit_breaker", None)
    settings["custom_timeouts"] = [
        {_snake(key): value for key, value in timeouts.items()}
        for timeouts in settings["custom_timeouts"]
    ]
    settings["cache_connection_settings"] = {
        _snake(key): value for key, value in settings["cache_connection_settings"].items()
    }
    return read_document(ClientSettings, settings)


def _snake(name: str) -> str:
    """Write a camelCase name in snake_case."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
