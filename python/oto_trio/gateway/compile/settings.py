"""From the global config to the settings of a snapshot: what holds for every route."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from oto_trio.gateway.compile.incoming import INCOMING_KEY, incoming_validators
from oto_trio.gateway.compile.limits import limit_settings
from oto_trio.gateway.listener_frames import ListenerWays
from oto_trio.model.errors import Problem
from oto_trio.model.global_config import GlobalConfig
from oto_trio.plugin_api.addresses import address_fault
from oto_trio.plugin_api.registry import Registry

__all__ = ["snapshot_settings"]

SLOT_LISTS: Final = frozenset({"ng", INCOMING_KEY})
"""Keys of the global config's ``plugins.config`` that hold slots; the others are for plugins to read."""


def snapshot_settings(
    config: GlobalConfig | None,
    registry: Registry,
    *,
    makes_certificates: bool = False,
    https_port: int | None = None,
    http3: Mapping[str, ListenerWays] = MappingProxyType({}),
    expressions: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the settings of a snapshot as the engine reads them, and what is wrong with them.

    Args:
        config: The global config; None before there is one.
        registry: Where the plugins of incoming-request validators come from.
        makes_certificates: Whether certificates are made whatever it says.
        https_port: The port under which clients reach the gateway with TLS; None for 443.
        http3: The listeners that speak HTTP/3, by their names.
        expressions: What expressions may read besides it.
    """
    if config is None:
        return {
            "https_port": https_port,
            "http3_ports": _http3_ports(http3),
            "expressions": dict(expressions),
            "tls": {
                "creates_certificates": makes_certificates,
                "any_without_name": makes_certificates,
            },
        }, []
    incoming, problems = incoming_validators(config, registry)
    filtering = config.ip_filtering
    tls = config.tls_settings
    settings: dict[str, Any] = {
        "trust_x_forwarded": config.trust_x_forwarded,
        "maintenance": config.maintenance_mode,
        "https_port": https_port,
        "http3_ports": _http3_ports(http3),
        "expressions": {
            **expressions,
            "global_metadata": config.metadata,
            "global_env": config.env,
        },
        **limit_settings(config, problems),
        "incoming": incoming,
        "ip_allowed": _addresses("ipFiltering.whitelist", filtering.whitelist, problems),
        "ip_blocked": _addresses("ipFiltering.blacklist", filtering.blacklist, problems),
        "ip_endless": _addresses("endlessIpAddresses", config.endless_ip_addresses, problems),
        "middle_fingers": config.middle_fingers,
        "plugins_config": {
            key: value for key, value in config.plugins.config.items() if key not in SLOT_LISTS
        },
        "tls": {
            "default_domain": tls.default_domain,
            "random_if_not_found": tls.random_if_not_found,
            "any_without_name": makes_certificates,
            "client_auth": tls.client_auth,
            "trusted_cas": tls.trusted_cas_server,
            "system_cas_for_clients": tls.include_jdk_ca_server,
            "system_cas_for_backends": tls.include_jdk_ca_client,
            "strict": tls.strict_backend_server_validation,
            "creates_certificates": config.auto_cert.enabled or makes_certificates,
        },
    }
    return settings, problems


def _http3_ports(listeners: Mapping[str, ListenerWays]) -> dict[str, int]:
    """Return the ports under which clients reach listeners over HTTP/3."""
    return {
        name: ways.exposed_port for name, ways in listeners.items() if ways.exposed_port is not None
    }


def _addresses(name: str, entries: Sequence[str], problems: list[Problem]) -> list[str]:
    """Return the entries of an address list that are addresses; note the others.

    One that is none matches nobody. A list of nothing else must not read as an empty one, which
    would let everybody in.
    """
    usable: list[str] = []
    for place, entry in enumerate(entries):
        fault = address_fault(entry)
        if fault is None:
            usable.append(entry)
        else:
            where = f"$.{name}[{place}]"
            problems.append(Problem(where, fault, "write an address, or remove the entry"))
    return usable or ["-*" for _ in entries[:1]]
