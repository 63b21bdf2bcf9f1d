"""The data exporter: which events go where, and in what shape."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document, JsonObject, read_document, write_document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = [
    "DATA_EXPORTERS",
    "EXPORTER_TYPES",
    "CustomTransform",
    "DataExporter",
    "Filtering",
    "data_exporter_template",
    "read_data_exporter",
    "write_data_exporter",
]

DATA_EXPORTERS: Final = "data-exporters"
"""Kind under which the store keeps them."""

EXPORTER_TYPES: Final = (
    *("elastic", "webhook", "http", "kafka", "pulsar", "splunk", "datadog", "newrelic"),
    *("workflow", "file", "s3", "goreplayfile", "goreplays3", "mailer", "custom", "console"),
    *("metrics", "custommetrics", "otlp-metrics", "otlp-logs", "wasm", "tcp", "udp", "syslog"),
    *("jms", "postgresql", "user-analytics", "none"),
)
"""Every type Otoroshi knows. Which of them this gateway can run is said by `telemetry.exporters`."""

Whole = Annotated[int, Meta(ge=1)]


class Filtering(Document, frozen=True, kw_only=True):
    """Which events are taken: one of `include` must match, when there are any, and none of `exclude`."""

    include: Annotated[
        tuple[dict[str, Any], ...], Meta(description="predicates, one of which must match")
    ] = ()
    exclude: Annotated[
        tuple[dict[str, Any], ...], Meta(description="predicates, none of which may match")
    ] = ()


class CustomTransform(Document, frozen=True, kw_only=True):
    """A plugin or workflow that changes events."""

    kind: Annotated[str, Meta(description="plugin or workflow")] = "plugin"
    ref: Annotated[str, Meta(description="id of the plugin or workflow")] = ""
    config: Annotated[dict[str, Any], Meta(description="its settings")] = msgspec.field(
        default_factory=dict[str, Any]
    )


class DataExporter(Document, frozen=True, kw_only=True, rename="camel"):
    """A data exporter (``events.otoroshi.io/DataExporter``).

    Keys are written in Otoroshi's order.
    """

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default_factory=Location, name="_loc"
    )
    type: Annotated[str, Meta(description="where events go, such as file or console")]
    enabled: Annotated[bool, Meta(description="export at all")] = False
    id: Annotated[str, Meta(description="id of the exporter")]
    name: Annotated[str, Meta(description="name shown to people")]
    desc: Annotated[str, Meta(description="what it is for")] = "--"
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    buffer_size: Annotated[
        Whole, Meta(description="events that wait at most; the oldest are dropped beyond")
    ] = 5000
    json_workers: Annotated[Whole, Meta(description="kept; one task prepares events")] = 1
    send_workers: Annotated[Whole, Meta(description="batches sent at once")] = 5
    group_size: Annotated[Whole, Meta(description="events in one batch")] = 100
    group_duration: Annotated[
        Whole, Meta(description="how long a batch waits to be full, milliseconds")
    ] = 30000
    projection: Annotated[
        dict[str, Any], Meta(description="blueprint of what is sent; empty = the whole event")
    ] = msgspec.field(default_factory=dict[str, Any])
    filtering: Annotated[Filtering, Meta(description="which events are taken")] = Filtering()
    custom_filter: Annotated[
        CustomTransform | None, Meta(description="plugin that chooses events")
    ] = None
    custom_transform: Annotated[
        CustomTransform | None, Meta(description="plugin or workflow that changes events")
    ] = None
    config: Annotated[dict[str, Any], Meta(description="settings of the type")] = msgspec.field(
        default_factory=dict[str, Any]
    )


def read_data_exporter(raw: object) -> DataExporter:
    """Read a data exporter from its document.

    Raises:
        EntityError: A required key is missing or wrong.
    """
    return read_document(DataExporter, raw)


def write_data_exporter(exporter: DataExporter) -> JsonObject:
    """Write a data exporter as Otoroshi would."""
    return write_document(exporter)


def data_exporter_template(*, env: str = "prod") -> DataExporter:
    """Make the built-in template: a file exporter, not enabled, that takes alerts.

    Args:
        env: Environment name of this gateway.
    """
    return DataExporter(
        type="file",
        id=named_id("data_exporter", env=env),
        name="New exporter config",
        desc="New exporter config",
        filtering=Filtering(include=({"@type": {"$regex": "Alert.*"}},)),
        config={"path": "./events.log", "maxFileSize": 10485760, "maxNumberOfFile": None},
    )
