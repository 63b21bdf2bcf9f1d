"""A port of TCP services inside the test, and targets that a test plays."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from typing_extensions import override

from oto_trio._core import Engine, Snapshot
from oto_trio.gateway.compile.tcp import TCP_PORTS, compile_tcp_ports
from oto_trio.gateway.engine import NOTICE
from oto_trio.model.document import read_document
from oto_trio.model.tcp_service import TcpService
from tests.conformance.http1.gateway import PATIENCE_S, Gateway, listening, pumped
from tests.conformance.tls.secure import NOW

__all__ = ["Target", "Targets", "TcpGateway", "read_all", "served", "service", "targets"]


class TcpGateway(Gateway):
    """An engine that serves one port."""

    def __init__(self, engine: Engine, port: int) -> None:
        super().__init__(engine, port)
        self.notices: list[str] = []
        """What the engine told an operator."""
        self.dialled: list[trio.SocketStream] = []

    async def dial(self) -> trio.SocketStream:
        """Connect; `served` closes what a test leaves open."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        self.dialled.append(stream)
        return stream

    @override
    def note(self, events: Sequence[tuple[int, Any]]) -> None:
        for kind, value in events:
            if kind == NOTICE:
                self.notices.append(value)
        super().note(events)

    def records(self) -> list[list[Any]]:
        """Take the records of connections that ended, as the engine packs them."""
        found: list[list[Any]] = msgspec.msgpack.decode(self.engine.drain_tcp_records(1000))
        return found

    def last_error(self) -> str | None:
        """Why the connection that ended last did, by its record."""
        error: str | None = self.records()[-1][-1]
        return error


def service(*ports: int, **more: Any) -> dict[str, Any]:
    """A service to targets on these ports of this machine."""
    plain = [{"host": "127.0.0.1", "port": port} for port in ports]
    return {
        "id": "s",
        "name": "a service",
        "description": "",
        "enabled": True,
        "port": 1,
        "interface": "127.0.0.1",
        "rules": [{"domain": "*", "targets": plain}],
        **more,
    }


@asynccontextmanager
async def served(
    *services: dict[str, Any],
    tls: Mapping[str, Any] | None = None,
    certificates: Mapping[str, bytes] | None = None,
    **settings: Any,
) -> AsyncGenerator[TcpGateway]:
    """Run an engine that serves these services, which are all on one port.

    Args:
        services: Their documents.
        tls: The TLS settings of the snapshot.
        certificates: Certificate entities by id.
        settings: Bounds and time-outs of the engine.
    """
    engine = Engine(json.dumps(settings).encode())
    engine.set_ticket_secret(b"a secret of the tests")
    engine.capture(b'{"records": 1000}')
    rows, problems = compile_tcp_ports(read_document(TcpService, raw) for raw in services)
    assert [problem for _, problem in problems if problem.severity == "error"] == []
    ((name, row),) = rows.items()
    entities = [("certificates", key, body) for key, body in (certificates or {}).items()]
    settings_json = json.dumps({"tls": dict(tls or {})}).encode()
    engine.install(Snapshot().apply([], [], settings_json, [(TCP_PORTS, name, row), *entities]))
    with trio.fail_after(PATIENCE_S), listening() as listener:
        engine.adopt_tcp(listener.fileno(), name)
        gateway = TcpGateway(engine, listener.getsockname()[1])
        engine.set_unix_offset(NOW - gateway.now)
        try:
            async with pumped(gateway):
                yield gateway
        finally:
            for stream in gateway.dialled:
                stream.socket.close()


class Target:
    """A server on a free port, whose connections a test takes one by one."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.port: int = listener.socket.getsockname()[1]
        self.taken: list[trio.SocketStream] = []

    async def accept(self) -> trio.SocketStream:
        """Wait for the next connection."""
        stream = await self._listener.accept()
        self.taken.append(stream)
        return stream

    async def aclose(self) -> None:
        """Listen no more."""
        await self._listener.aclose()


class Targets(list[Target]):
    """Some of them."""

    @property
    def ports(self) -> list[int]:
        """Their ports."""
        return [target.port for target in self]


@asynccontextmanager
async def targets(count: int = 1) -> AsyncGenerator[Targets]:
    """Run some targets."""
    found = Targets()
    for _ in range(count):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        found.append(Target(listener))
    try:
        yield found
    finally:
        for target in found:
            await target.aclose()
            for stream in target.taken:
                await trio.aclose_forcefully(stream)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Read until the end."""
    return b"".join([bytes(part) async for part in stream])
