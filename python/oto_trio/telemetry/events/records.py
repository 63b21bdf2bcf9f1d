"""Access records with their details, as a worker sends them."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["Details", "EventRecord", "read_records"]


class Trace(msgspec.Struct, array_like=True, frozen=True):
    """A trace by W3C trace context; ids in hexadecimal."""

    trace_id: str
    span_id: str
    parent_id: str | None
    sampled: bool


class Details(msgspec.Struct, array_like=True, frozen=True):
    """What events tell of an exchange beyond its record; without secrets. See `record/details.rs`."""

    request_id: str
    client: str
    """The client's address, as a trusted proxy or the socket says."""
    query: str
    version: str
    secured: bool
    target_tls: bool
    headers: list[str]
    """Names and values by turns, as the client sent them; likewise the next three."""
    headers_in: list[str]
    headers_out: list[str]
    response_headers: list[str]
    fields_left_out: int
    backend_status: int
    chunked: bool
    head_out: int
    route_name: str
    route_metadata: str | None
    message: str | None
    cause: str | None
    identity: str | None
    """JSON; likewise `route_metadata`, `extra`, the alerts' fields and `quotas`."""
    extra: str | None
    alerts: list[tuple[str, str]]
    quotas: str | None
    client_certificates: list[str]
    """DER in base64, the client's own first."""
    trace: Trace | None


class EventRecord(msgspec.Struct, array_like=True, frozen=True):
    """One exchange, as the engine packs it."""

    started_s: float
    duration_s: float
    upstream_s: float
    ip: str
    route: str | None
    target: str | None
    method: str
    host: str
    path: str
    status: int
    attempts: int
    bytes_in: int
    bytes_out: int
    local: bool
    request_id: str
    apikey: str | None
    details: Details | None


_BATCH: Final = msgspec.msgpack.Decoder(list[EventRecord])


def read_records(batch: bytes) -> list[EventRecord]:
    """Read a batch.

    Args:
        batch: A msgpack array of records, as `Engine.drain_records` gives it.
    """
    return _BATCH.decode(batch)
