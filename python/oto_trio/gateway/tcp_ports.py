"""Keeps the ports of TCP services in step with the services, for the engine's table of them."""

from collections.abc import Callable
from typing import Final

import msgspec

from oto_trio.gateway.compile.tcp import TCP_PORTS, compile_tcp_ports
from oto_trio.gateway.frames import ProblemReport
from oto_trio.model.document import read_document
from oto_trio.model.errors import EntityError
from oto_trio.model.tcp_service import TCP_SERVICES, TcpService

__all__ = ["TcpPorts", "read_tcp_service"]

KIND: Final = TCP_SERVICES


def read_tcp_service(body: bytes) -> TcpService:
    """Read a service from the JSON of the store.

    Raises:
        EntityError: What is wrong with it.
        msgspec.DecodeError: It is no JSON.
    """
    return read_document(TcpService, msgspec.json.decode(body))


class TcpPorts:
    """What a worker knows of TCP services.

    Args:
        report: Takes each problem; must not block.
    """

    def __init__(self, report: Callable[[ProblemReport], None]) -> None:
        self._report = report
        self._services: dict[str, TcpService] = {}
        self._rows: dict[str, bytes] = {}
        self._is_changed = False

    @property
    def ids(self) -> list[str]:
        """The ids of the services."""
        return list(self._services)

    def note(self, service_id: str, body: bytes | None) -> None:
        """Take a service over; None when it is gone. One that cannot be read takes no connection."""
        self._is_changed = True
        self._services.pop(service_id, None)
        if body is None:
            return
        try:
            self._services[service_id] = read_tcp_service(body)
        except (EntityError, msgspec.DecodeError) as error:
            told = f"{error}; until it is corrected it takes no connection"
            self._report(ProblemReport(KIND, service_id, told))

    def take_rows(self) -> list[tuple[str, str, bytes | None]]:
        """Return the rows that changed since the last time, as (kind, id, JSON); no JSON takes one out."""
        if not self._is_changed:
            return []
        self._is_changed = False
        rows, problems = compile_tcp_ports(self._services.values())
        for service_id, problem in problems:
            self._report(ProblemReport(KIND, service_id, str(problem)))
        changed: list[tuple[str, str, bytes | None]] = [
            (TCP_PORTS, name, None) for name in self._rows if name not in rows
        ]
        changed += [
            (TCP_PORTS, name, row) for name, row in rows.items() if self._rows.get(name) != row
        ]
        self._rows = rows
        return changed
