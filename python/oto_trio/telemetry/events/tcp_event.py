"""The event of a connection of a TCP service: Otoroshi's TcpEvent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from oto_trio.telemetry.events.identity import Event, Instance, Snowflakes

__all__ = ["TcpRecord", "read_tcp_records", "tcp_event"]


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
