"""From TCP services to the ports that the engine serves.

A port belongs to the first enabled service on it, in the order of their ids: what is done about TLS and who
has to show a certificate must be known before a client says anything. Other services join it where server names
tell them apart: with `sni.enabled`, and the same `tls`, `clientAuth` and way of taking PROXY headers.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from oto_trio.model.errors import Problem
from oto_trio.model.tcp_service import TcpProxyProtocol, TcpService, TcpSettings, TcpTarget

__all__ = ["TCP_PORTS", "TcpAddress", "compile_tcp_ports", "tcp_address"]

TCP_PORTS: Final = "tcp-ports"
"""The engine's name for the table of ports."""

_SCALE: Final = 1000
"""Milliseconds in a second."""


class TcpAddress(msgspec.Struct, frozen=True, order=True):
    """Where TCP services listen.

    Attributes:
        host: The address, as the services write it.
        port: The port.
    """

    host: str
    port: int

    @property
    def name(self) -> str:
        """The listener's name, which is also the port's id in the engine."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{shown}:{self.port}"


def tcp_address(service: TcpService) -> TcpAddress | None:
    """Return where a service listens; None when it is disabled."""
    return TcpAddress(service.interface.strip("[]"), service.port) if service.enabled else None


def compile_tcp_ports(
    services: Iterable[TcpService],
) -> tuple[dict[str, bytes], list[tuple[str, Problem]]]:
    """Compile services to ports.

    Args:
        services: All of them, in any order.

    Returns:
        The engine's JSON of each port by its id, and what is wrong with which service.
    """
    by_address: dict[TcpAddress, list[TcpService]] = {}
    for service in sorted(services, key=lambda service: service.id):
        address = tcp_address(service)
        if address is not None:
            by_address.setdefault(address, []).append(service)
    ports: dict[str, bytes] = {}
    problems: list[tuple[str, Problem]] = []
    for address, sharing in by_address.items():
        owner = sharing[0]
        joined = [owner]
        problems += [(owner.id, problem) for problem in _odd(owner)]
        for service in sharing[1:]:
            problem = _conflict(owner, service)
            if problem is None:
                joined.append(service)
                problems += [(service.id, problem) for problem in _odd(service)]
            else:
                problems.append((service.id, problem))
        ports[address.name] = msgspec.json.encode(_port(owner, joined))
    return ports, problems


def _settings(service: TcpService) -> TcpSettings:
    return service.settings if isinstance(service.settings, TcpSettings) else TcpSettings()


def _proxy(service: TcpService) -> TcpProxyProtocol:
    return _settings(service).proxy_protocol


def _odd(service: TcpService) -> list[Problem]:
    """Say what of a service has no effect."""
    found: list[Problem] = []
    if service.tls == "Disabled" and service.sni.enabled:
        text = "there are no server names without TLS; the targets of all rules take turns"
        found.append(Problem("$.sni.enabled", text, "set tls to Enabled or PassThrough", "warning"))
    if not any(rule.targets for rule in service.rules) and not service.sni.forward_if_no_match:
        found.append(
            Problem("$.rules", "there is no target", "give a rule with a target", "warning")
        )
    return found


def _conflict(owner: TcpService, service: TcpService) -> Problem | None:
    """Say why a service cannot share the port of another one; None when it can."""
    told = f"port {service.port} is taken by the TCP service {owner.id}"
    if not (owner.sni.enabled and service.sni.enabled) or owner.tls == "Disabled":
        fix = "choose another port, or tell them apart by server name (sni.enabled) in both"
        return Problem("$.port", told, fix)
    mine, theirs = _proxy(service), _proxy(owner)
    for path, same in (
        ("$.tls", service.tls == owner.tls),
        ("$.clientAuth", service.client_auth == owner.client_auth),
        (
            "$.settings.proxyProtocol",
            (mine.accept, mine.trusted) == (theirs.accept, theirs.trusted),
        ),
    ):
        if not same:
            return Problem(path, f"{told}, where it is another", "make them equal in both")
    return None


def _port(owner: TcpService, services: list[TcpService]) -> dict[str, Any]:
    proxy = _proxy(owner)
    return {
        "tls": owner.tls,
        "client_auth": None if owner.client_auth == "Dynamic" else owner.client_auth,
        "by_name": owner.sni.enabled,
        "accepts_proxy": proxy.accept,
        "trusted_proxies": proxy.trusted,
        "services": [_service(service) for service in services],
    }


def _service(service: TcpService) -> dict[str, Any]:
    settings = _settings(service)
    total = settings.total_timeout
    return {
        "id": service.id,
        "name": service.name,
        "allowed": settings.allowed,
        "blocked": settings.blocked,
        "send_proxy": settings.proxy_protocol.send,
        "most_connections": settings.max_connections,
        "most_bytes_in": settings.max_bytes_in,
        "most_bytes_out": settings.max_bytes_out,
        "connect_s": settings.connect_timeout / _SCALE,
        "idle_s": settings.idle_timeout / _SCALE,
        "total_s": None if total is None else total / _SCALE,
        "rules": [
            {"domain": rule.domain, "targets": [_target(target) for target in rule.targets]}
            for rule in service.rules
        ],
        "otherwise": _target(service.sni.forwards_to) if service.sni.forward_if_no_match else None,
    }


def _target(target: TcpTarget) -> dict[str, Any]:
    return {
        "name": target.host,
        "host": target.ip or target.host,
        "port": target.port,
        "tls": _tls(target) if target.tls else None,
    }


def _tls(target: TcpTarget) -> dict[str, Any]:
    tls = target.mtls_config
    if tls is msgspec.UNSET:
        return {}
    return {
        "enabled": tls.mtls,
        "certs": tls.certs,
        "trusted_certs": tls.trusted_certs,
        "loose": tls.loose,
        "trust_all": tls.trust_all,
    }
