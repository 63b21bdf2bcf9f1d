"""What is told of a connection of a TCP service: Otoroshi's TcpEvent, and a line of the access log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from oto_trio.telemetry.events.identity import Event, Instance, Snowflakes

__all__ = ["TcpRecord", "read_tcp_records", "tcp_event", "tcp_lines"]

BOTH_DONE: Final = "both sides are done"
"""How a connection ended that nobody cut off."""


class TcpRecord(msgspec.Struct, array_like=True, frozen=True):
    """One connection that ended, as the engine packs it. See `record/tcp.rs`."""

    started_s: float
    duration_s: float
    overhead_s: float
    service: str | None
    name: str | None
    target: str | None
    remote: str
    local: str
    server_name: str | None
    bytes_in: int
    bytes_out: int
    error: str | None


_BATCH: Final = msgspec.msgpack.Decoder(list[TcpRecord])


def read_tcp_records(batch: bytes) -> list[TcpRecord]:
    """Read a batch.

    Args:
        batch: A msgpack array of records, as `Engine.drain_tcp_records` gives it.
    """
    return _BATCH.decode(batch)


def tcp_event(
    record: TcpRecord, unix_offset_s: float, instance: Instance, ids: Snowflakes
) -> Event:
    """Make the event of a connection.

    Args:
        record: The connection.
        unix_offset_s: What to add to its times to get Unix time.
        instance: Where this gateway stands.
        ids: Makes the event's id.

    Returns:
        The event. `to` is what was asked for, by name or by address; `gwError` says why the connection ended, when
        neither side ended it. Durations are milliseconds.
    """
    host, _, port = record.local.rpartition(":")
    asked = host if record.server_name is None else record.server_name
    reached = record.target or ""
    return {
        "@type": "TcpEvent",
        "@id": ids.next(),
        "@timestamp": round((record.started_s + record.duration_s + unix_offset_s) * 1000),
        "@product": "--",
        "@serviceId": record.service or "",
        "@service": record.name or "",
        "@env": instance.env,
        "port": int(port),
        "to": f"{asked}:{port}",
        "target": reached,
        "remote": record.remote,
        "local": record.local,
        "duration": round(record.duration_s * 1000),
        "overhead": round(record.overhead_s * 1000),
        "data": {"dataIn": record.bytes_in, "dataOut": record.bytes_out},
        "gwError": record.error,
        "service": None
        if record.service is None
        else {"id": record.service, "name": record.name or ""},
    }


def tcp_lines(batch: bytes, unix_offset_s: float) -> bytes:
    """Make lines of JSON of a batch, for the access log.

    Args:
        batch: See `read_tcp_records`.
        unix_offset_s: What to add to its times to get Unix time.

    Returns:
        A line for each connection, in the style of those of exchanges. `end` says why it ended.

    Raises:
        ValueError: It is no such batch.
    """
    return b"".join(
        msgspec.json.encode(_line(record, unix_offset_s)) + b"\n"
        for record in read_tcp_records(batch)
    )


def _line(record: TcpRecord, unix_offset_s: float) -> dict[str, Any]:
    try:
        began = datetime.fromtimestamp(round(record.started_s + unix_offset_s, 3), UTC)
    except (OverflowError, ValueError, OSError):
        # Beyond what a calendar has is the worst that a wrong clock can do.
        began = datetime.fromtimestamp(0, UTC)
    ip, _, _ = record.remote.rpartition(":")
    _, _, port = record.local.rpartition(":")
    return {
        "time": began.isoformat(timespec="milliseconds"),
        "ip": ip.strip("[]"),
        "protocol": "tcp",
        "port": int(port),
        "server_name": record.server_name,
        "duration_ms": round(record.duration_s * 1000, 3),
        "connect_ms": round(record.overhead_s * 1000, 3),
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "service": record.service,
        "name": record.name,
        "target": record.target,
        "end": record.error or BOTH_DONE,
    }
