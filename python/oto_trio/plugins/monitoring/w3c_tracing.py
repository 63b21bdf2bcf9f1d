"""Take part in distributed traces, by W3C trace context.

Phases: transform_request, done. Native.
Otoroshi: ``cp:otoroshi.next.plugins.W3CTracing``.

The client's `traceparent` is taken up when there is exactly one and it is good; else a trace begins here. The backend
gets a `traceparent` with a span id of our own, the client's `tracestate` and `baggage` when they are good as a whole,
and what `baggage` of the config adds. The ids are in the exchange's event (`extraInfos.trace`).

With ``logger`` each span is a line of the log, written by the done hook; otherwise there is none. Sending spans elsewhere (``jaeger``, ``otlp-grpc``, ``otlp-http``,
``zipkin``) comes with the exporters of traces; until then those kinds are refused, where Otoroshi takes any text it
does not know for ``noop``.

Source: W3C Trace Context, W3C Baggage.
"""

import logging
import re
import secrets
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps, writable_fields
from oto_trio.plugin_api.templates import header_templates

__all__ = ["W3CTracing", "W3CTracingConfig"]

logger = logging.getLogger(__name__)

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_STATE_MEMBER = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -<>-~]{1,256}", re.ASCII)
_BAGGAGE_MEMBER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=[ -~]*", re.ASCII)
_BAGGAGE_BYTES = 8192
_BAGGAGE_MEMBERS = 180
_STATE_BYTES = 4096
_STATE_MEMBERS = 32


class W3CTracingConfig(Config, frozen=True):
    """Where spans go, and what is told on the way."""

    kind: Annotated[
        Literal["noop", "logger"],
        Meta(description="noop only hands the trace on; logger also writes each span to the log"),
    ] = "noop"
    endpoint: Annotated[str, Meta(description="kept; no kind sends spans yet")] = (
        "http://localhost:3333/spans"
    )
    timeout: Annotated[int, Meta(description="kept; milliseconds")] = 30000
    baggage: Annotated[
        dict[str, str], Meta(description="members added to baggage; ${…} is evaluated")
    ] = {}


class _StepSettings(msgspec.Struct, frozen=True):
    """What the native step reads; the config's `kind` is another one than a step's."""

    baggage: dict[str, str]


class W3CTracing(Plugin[W3CTracingConfig]):
    """Hands W3C trace context on to the backend, as a span of its own."""

    id = "cp:otoroshi.next.plugins.W3CTracing"
    name = "W3C Trace Context"
    description = "Takes part in distributed traces by W3C trace context."
    categories = ("Monitoring",)
    multi_instance = False

    def __init__(self, config: W3CTracingConfig) -> None:
        super().__init__(config)
        self._baggage = header_templates(config.baggage)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        parent = _parent(headers.get_all("traceparent"))
        state = _state(headers.get_all("tracestate")) if parent is not None else ""
        baggage = _baggage(headers.get_all("baggage"))
        for name, template in self._baggage.items():
            value = quote(template.render_header(exchange).encode("latin-1", "replace"), safe="")
            added = f"{baggage},{name}={value}" if baggage else f"{name}={value}"
            if len(added) <= _BAGGAGE_BYTES:
                baggage = added
        trace_id, flags = (secrets.token_hex(16), 1) if parent is None else parent
        headers.set("traceparent", f"00-{trace_id}-{secrets.token_hex(8)}-{flags:02x}")
        for name, text in (("tracestate", state), ("baggage", baggage)):
            if text:
                headers.set(name, text)
            else:
                headers.remove(name)

    @override
    def done(self, exchange: Exchange) -> None:
        """Write the span to the log: no header but the trace's, and no query, is in it."""
        if self.config.kind != "logger":
            return
        request = exchange.request
        told = request.headers.get("traceparent") or "----"
        _, trace_id, span_id, _ = told.split("-", 3)
        status = 0 if exchange.response is None else exchange.response.status
        logger.info(
            "span http_proxy trace=%s span=%s lc=otoroshi service.id=%s service.name=%s http.method=%s "
            "http.version=%s http.path=%s http.domain=%s http.scheme=%s http.from=%s http.response=%d",
            *(trace_id, span_id, exchange.route_id, exchange.route_name, request.method),
            *(request.version, request.path, request.domain),
            *("https" if exchange.secured else "http", exchange.remote_address, status),
        )

    @override
    def lower(self) -> tuple[Step, ...]:
        settings = _StepSettings(writable_fields(self.config.baggage))
        native = steps.Native("w3c_tracing", Phase.TRANSFORM_REQUEST, settings)
        return (native, steps.Hook(Phase.DONE)) if self.config.kind == "logger" else (native,)


def _parent(values: list[str]) -> tuple[str, int] | None:
    """Return the client's trace id and its sampled flag; None when it has no good one."""
    if len(values) != 1:
        return None
    found = _PARENT.fullmatch(values[0])
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    if not found[2].strip("0") or not found[3].strip("0"):
        return None
    return found[2], int(found[4], 16) & 1


def _state(values: list[str]) -> str:
    members = [member.strip(" \t") for member in ",".join(values).split(",")]
    members = [member for member in members if member]
    good = (
        len(",".join(values)) <= _STATE_BYTES
        and 0 < len(members) <= _STATE_MEMBERS
        and all(map(_STATE_MEMBER.fullmatch, members))
    )
    return ",".join(members) if good else ""


def _baggage(values: list[str]) -> str:
    if not values:
        return ""
    members = [member.strip(" \t") for member in ",".join(values).split(",")]
    good = (
        len(",".join(values)) <= _BAGGAGE_BYTES
        and len(members) <= _BAGGAGE_MEMBERS
        and all(map(_BAGGAGE_MEMBER.fullmatch, members))
    )
    return ",".join(members) if good else ""
