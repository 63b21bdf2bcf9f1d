"""Finds exporters by type, and says what is wrong with an entity."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from oto_trio import jq
from oto_trio.model.data_exporter import EXPORTER_TYPES
from oto_trio.model.document import inspect_document
from oto_trio.model.errors import EntityError, Problem
from oto_trio.model.matching import predicate_faults
from oto_trio.model.projection import blueprint_faults
from oto_trio.telemetry.exporters import base
from oto_trio.telemetry.exporters.base import Exporter, ExporterConfig
from oto_trio.telemetry.exporters.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oto_trio.model.data_exporter import DataExporter
    from oto_trio.model.projection import CheckFilter
    from oto_trio.telemetry.events.identity import Instance

__all__ = ["check_exporter", "exporter_types", "make_exporter", "make_pipeline"]


@cache
def exporter_types() -> Mapping[str, type[Exporter[Any]]]:
    """Return the exporters there are, by type; each module of the folder may hold one."""
    package = base.__name__.rpartition(".")[0]
    folder = importlib.import_module(package)
    found: dict[str, type[Exporter[Any]]] = {}
    for module in pkgutil.iter_modules(folder.__path__):
        members: dict[str, object] = vars(importlib.import_module(f"{package}.{module.name}"))
        for member in members.values():
            if not isinstance(member, type) or not issubclass(member, Exporter):
                continue
            kind: type[Exporter[Any]] = member  # pyright: ignore[reportUnknownVariableType]
            if kind.__module__ == f"{package}.{module.name}" and "type" in vars(kind):
                assert kind.type not in found, f"two exporters are of type {kind.type!r}"
                found[kind.type] = kind
    return found


def check_exporter(entity: DataExporter, check_filter: CheckFilter = jq.check) -> list[Problem]:
    """Say why an exporter could not run; paths start at the entity.

    Args:
        entity: Its settings.
        check_filter: Tells what is wrong with a jq filter.
    """
    problems: list[Problem] = []
    kind = exporter_types().get(entity.type)
    if kind is None:
        known = entity.type in EXPORTER_TYPES
        message = f"this gateway has no exporter of type {entity.type!r}" + (
            " yet" if known else ""
        )
        fix = f"use one of {', '.join(sorted(exporter_types()))}"
        # An exporter that came from elsewhere may rest until its type can run.
        severity: Literal["error", "warning"] = (
            "error" if entity.enabled or not known else "warning"
        )
        problems.append(Problem("$.type", message, fix, severity))
    else:
        problems += _config(kind, entity)[1]
    for name in ("include", "exclude"):
        for at, predicate in enumerate(getattr(entity.filtering, name)):
            for path, fault in predicate_faults(predicate, f"$.filtering.{name}[{at}]"):
                problems.append(Problem(path, fault, "correct the predicate", "warning"))
    for path, fault in blueprint_faults(entity.projection, check_filter, "$.projection"):
        problems.append(Problem(path, fault, "correct the blueprint"))
    for name in ("custom_filter", "custom_transform"):
        if getattr(entity, name) is not None:
            key = "customFilter" if name == "custom_filter" else "customTransform"
            problems.append(
                Problem(f"$.{key}", "plugins and workflows cannot see events yet", "set it to null")
            )
    return problems


def _config(
    kind: type[Exporter[Any]], entity: DataExporter
) -> tuple[ExporterConfig | None, list[Problem]]:
    config, problems = inspect_document(kind.config_class, entity.config)
    moved = [Problem(f"$.config{p.path[1:]}", p.message, p.fix, p.severity) for p in problems]
    if config is not None:
        moved += [Problem(f"$.config.{key}", message, fix) for key, message, fix in config.faults()]
    return config, moved


def _unchecked(filter_text: str) -> None:
    del filter_text


def make_exporter(entity: DataExporter) -> Exporter[Any]:
    """Make what sends an entity's events.

    Its jq filters were checked when it was saved. They are not now: checking fails on a busy machine, and must not leave
    an exporter out until somebody edits it. One that is no filter gives null.

    Raises:
        EntityError: The entity cannot run; with every problem.
    """
    problems = [
        problem for problem in check_exporter(entity, _unchecked) if problem.severity == "error"
    ]
    if problems:
        raise EntityError("data exporter", problems)
    kind = exporter_types()[entity.type]
    config, _ = _config(kind, entity)
    assert config is not None, "it was checked"
    return kind(config)


def make_pipeline(
    entity: DataExporter, instance: Instance, filters: jq.Filters | None = None
) -> Pipeline:
    """Make an entity's pipeline, its exporter at the end; see `Pipeline`.

    Raises:
        EntityError: The entity cannot run; with every problem.
    """
    return Pipeline(entity, make_exporter(entity), instance, filters)
