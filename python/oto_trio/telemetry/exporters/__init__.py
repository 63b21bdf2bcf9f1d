"""Exporters: one file for each way to send events, found by a walker, and the pipeline in front of them."""

from oto_trio.telemetry.exporters.base import Exporter, ExporterConfig, ExportError
from oto_trio.telemetry.exporters.pipeline import Pipeline
from oto_trio.telemetry.exporters.registry import (
    check_exporter,
    exporter_types,
    make_exporter,
    make_pipeline,
)

__all__ = [
    "ExportError",
    "Exporter",
    "ExporterConfig",
    "Pipeline",
    "check_exporter",
    "exporter_types",
    "make_exporter",
    "make_pipeline",
]
