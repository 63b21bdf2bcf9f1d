"""The GatewayEvent of an exchange, and the AlertEvents it raised, in Otoroshi's JSON.

Differences to Otoroshi, each on purpose:

* an exchange that the gateway refused has one event with the request's own id; Otoroshi makes up another id, so that
  the event cannot be found by the id the client saw;
* its `data` tells the bytes that passed; Otoroshi's says 0.

Source: Otoroshi's GatewayEvent; `docs/events.md` says which values are not known yet.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final, cast

import msgspec

from oto_trio.model.matching import is_object, value_at

if TYPE_CHECKING:
    from oto_trio.telemetry.events.identity import Event, Instance, Snowflakes
    from oto_trio.telemetry.events.records import Details, EventRecord

__all__ = [
    "NOT_KNOWN_MS",
    "REFUSED",
    "REFUSED_WITH",
    "REQUEST_REFUSED",
    "alert_events",
    "gateway_event",
]

NOT_KNOWN_MS: Final = -1
"""A duration that is not measured. Source: Otoroshi."""

REFUSED: Final = frozenset({401, 403, 429})
"""Statuses of answers that refuse a caller."""

REFUSED_WITH: Final = frozenset(
    {"error.bad.token", "invalid apikey tuple", "errors.service.not.secured"}
)
"""Messages and causes of refusals that have another status."""

REQUEST_REFUSED: Final = "RequestRefusedAlert"
"""The alert of a refusal that has none of its own."""

REPORTS: Final = frozenset({"ErrorRewriteReport"})
"""What plugins raise like an alert and Otoroshi has as an event of its own; no log line is made of them."""

_PARENT_HEADERS: Final = ("otoroshi-request-id", "otoroshi-parent-request")


def gateway_event(
    record: EventRecord,
    unix_offset_s: float,
    instance: Instance,
    ids: Snowflakes,
) -> Event | None:
    """Make the event of an exchange.

    Args:
        record: The exchange; one without details has no event.
        unix_offset_s: What to add to its times to get Unix time.
        instance: Where this gateway stands.
        ids: Makes the event's id.

    Returns:
        The event with every key of Otoroshi's, or None.
    """
    details = record.details
    if details is None:
        return None
    called_at = round((record.started_s + unix_offset_s) * 1000)
    duration = round(record.duration_s * 1000)
    reached = record.attempts > 0
    backend = round(record.upstream_s * 1000) if reached else 0
    overhead = max(duration - backend, 0)
    scheme = "https" if details.secured else "http"
    uri = f"{record.path}?{details.query}" if details.query else record.path
    metadata: object = _decoded(details.route_metadata or "{}")
    product = value_at(metadata, "product")
    return {
        "@type": "GatewayEvent",
        "@id": ids.next(),
        "@timestamp": called_at + duration,
        "@callAt": called_at,
        "reqId": record.request_id,
        "parentReqId": _parent(details),
        "protocol": f"HTTP/{details.version}",
        "to": {"scheme": scheme, "host": record.host, "uri": uri},
        "target": {
            "scheme": "https" if details.target_tls else "http",
            "host": record.target or "",
            "uri": uri,
        },
        "url": f"{scheme}://{record.host}{uri}",
        "method": record.method,
        "from": details.client,
        "@env": instance.env,
        "backendDuration": backend if reached else NOT_KNOWN_MS,
        "duration": duration,
        "requestStreamingDuration": NOT_KNOWN_MS,
        "responseStreamingDuration": NOT_KNOWN_MS,
        "backendResponseStreamingDuration": NOT_KNOWN_MS,
        "overhead": overhead,
        "data": {
            "dataIn": record.bytes_in,
            "dataOut": max(record.bytes_out - details.head_out, 0),
        },
        "status": details.backend_status or record.status,
        "responseChunked": details.chunked,
        "headers": _fields(details.headers),
        "headersOut": _fields(details.headers_out),
        "identity": _decoded(details.identity),
        "gwError": details.message,
        "err": record.local and details.message is not None,
        "@serviceId": _service_id(record, metadata) or "none",
        "@service": details.route_name or "none",
        "descriptor": None,
        "route": _route(record, details, metadata),
        "matcheJwtVerifier": None,
        "@product": product if isinstance(product, str) else "--",
        "remainingQuotas": _decoded(details.quotas),
        "viz": _viz(details, uri),
        "cbDuration": NOT_KNOWN_MS,
        "overheadWoCb": overhead,
        "callAttempts": record.attempts,
        "clientCertChain": [_pem(der) for der in details.client_certificates],
        "userAgentInfo": None,
        "geolocationInfo": None,
        "extrasData": _decoded(details.extra),
        "otoroshiHeadersIn": _fields(details.headers_in),
        "otoroshiHeadersOut": _fields(details.response_headers),
        "extraInfos": _extra_infos(record, details),
    }


def alert_events(
    record: EventRecord, unix_offset_s: float, instance: Instance, ids: Snowflakes
) -> list[Event]:
    """Make the alerts that an exchange's steps raised, in their order.

    An exchange that the gateway refused for a reason of security (`REFUSED`, `REFUSED_WITH`), and whose steps raised none, has
    a `RequestRefusedAlert`; Otoroshi has none for it.
    """
    details = record.details
    if details is None:
        return []
    at = round((record.started_s + record.duration_s + unix_offset_s) * 1000)
    alerts: list[Event] = []
    raised = [(name, _decoded(text)) for name, text in details.alerts]
    if not raised and _is_refused(record, details):
        raised.append((REQUEST_REFUSED, _refusal(record, details)))
    for name, fields in raised:
        alerts.append(
            {
                **(fields if is_object(fields) else {"details": fields}),
                "@id": ids.next(),
                "@timestamp": at,
                **({"@type": name} if name in REPORTS else {"@type": "AlertEvent", "alert": name}),
                "@product": "Otoroshi",
                "@serviceId": _service_id(record, _decoded(details.route_metadata)) or "--",
                "@service": details.route_name or "Otoroshi",
                "@env": instance.env,
                "reqId": record.request_id,
            }
        )
    return alerts


def _is_refused(record: EventRecord, details: Details) -> bool:
    """Tell whether the gateway itself refused a caller, or a backend, for a reason of security."""
    if not record.local:
        return False
    if record.attempts == 0 and record.status in REFUSED:
        return True
    return details.message in REFUSED_WITH or details.cause in REFUSED_WITH


def _refusal(record: EventRecord, details: Details) -> dict[str, object]:
    """Say what was refused, to whom, and why."""
    return {
        "from": details.client,
        "to": record.host,
        "method": record.method,
        "uri": record.path,
        "status": record.status,
        "cause": details.cause,
        "message": details.message,
        "apiKey": record.apikey,
    }


def _fields(flat: list[str]) -> list[dict[str, str]]:
    """Show names and values that take turns as Otoroshi does."""
    return [{"key": key, "value": value} for key, value in zip(flat[::2], flat[1::2], strict=True)]


def _parent(details: Details) -> str | None:
    for name, value in zip(details.headers[::2], details.headers[1::2], strict=True):
        if name.lower() in _PARENT_HEADERS:
            return value
    return None


def _decoded(text: str | None) -> object:
    return None if text is None else cast("object", msgspec.json.decode(text))


def _route(record: EventRecord, details: Details, metadata: object) -> dict[str, object] | None:
    """Show which route it was; the whole route is in the store."""
    if record.route is None:
        return None
    return {
        "id": _service_id(record, metadata),
        "name": details.route_name,
        "metadata": metadata,
    }


def _service_id(record: EventRecord, metadata: object) -> str | None:
    """Return the route's id as its author knows it: of a route composition, all routes have the same.

    The metadata say it, which whoever writes a route can write: only an id that begins so is taken for one.
    """
    original = value_at(metadata, "otoroshi-core-original-route-id")
    if record.route is None or not isinstance(original, str) or not original:
        return record.route
    return original if record.route.startswith(original) else record.route


def _viz(details: Details, uri: str) -> dict[str, str]:
    """Say from what to what, for pictures of traffic."""
    label = value_at(_decoded(details.identity), "label")
    caller = label if isinstance(label, str) else "internet"
    service = details.route_name or "none"
    return {
        "fromTo": f"{caller}###{service}",
        "from": caller,
        "to": service,
        "fromLbl": caller,
        "toLbl": f"{service}{uri.partition('?')[0]}",
    }


def _extra_infos(record: EventRecord, details: Details) -> dict[str, object]:
    """Show what Otoroshi's event has no key for."""
    infos: dict[str, object] = {"clientStatus": record.status}
    if details.cause is not None:
        infos["cause"] = details.cause
    if details.fields_left_out:
        infos["headersLeftOut"] = details.fields_left_out
    if details.trace is not None:
        infos["trace"] = {
            "traceId": details.trace.trace_id,
            "spanId": details.trace.span_id,
            "parentSpanId": details.trace.parent_id,
            "sampled": details.trace.sampled,
        }
    return infos


def _pem(der: str) -> str:
    lines = "\n".join(textwrap.wrap(der, 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
