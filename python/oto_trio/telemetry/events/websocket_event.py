"""The event of a WebSocket's message that a plugin refused: Otoroshi's WebsocketEvent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from oto_trio.telemetry.events.identity import Event, Instance, Snowflakes

__all__ = ["WebsocketRecord", "read_websocket_records", "websocket_event"]


class WebsocketRecord(msgspec.Struct, array_like=True, frozen=True):
    """One message that went no further, as the worker packs it; the frame is what is shown of it."""

    at_s: float
    route: str
    name: str
    url: str
    target: str
    frame: str
    size: int
    code: int
    reason: str


_BATCH: Final = msgspec.msgpack.Decoder(list[WebsocketRecord])


def read_websocket_records(batch: bytes) -> list[WebsocketRecord]:
    """Read a batch.

    Args:
        batch: A msgpack array of records.
    """
    return _BATCH.decode(batch)


def websocket_event(
    record: WebsocketRecord, unix_offset_s: float, instance: Instance, ids: Snowflakes
) -> Event:
    """Make the event of a message that was refused.

    Args:
        record: The message.
        unix_offset_s: What to add to its time to get Unix time.
        instance: Where this gateway stands.
        ids: Makes the event's id.

    Returns:
        The event. `frameSize` is in bytes; `statusCode` is the close code, whether the connection was closed or not.
    """
    return {
        "@type": "WebsocketEvent",
        "@id": ids.next(),
        "@timestamp": round((record.at_s + unix_offset_s) * 1000),
        "@product": "--",
        "@serviceId": record.route,
        "@service": record.name,
        "@env": instance.env,
        "to": _location(record.url),
        "target": _location(record.target),
        "frame": record.frame,
        "frameSize": record.size,
        "statusCode": record.code,
        "reason": record.reason,
    }


def _location(url: str) -> dict[str, str]:
    """Return where a URL leads, in Otoroshi's words."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return {"scheme": parts.scheme, "host": parts.netloc, "uri": f"{parts.path}{query}"}
