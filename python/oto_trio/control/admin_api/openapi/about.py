"""The operations that tell what an installation is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.openapi.parts import (
    TEXT,
    Operation,
    json_answer,
    object_of,
    parameter,
    reference,
    refusals,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.model.document import JsonObject

__all__ = ["about_operations"]

_TAG: Final = "Installation"
_NUMBER: Final[JsonObject] = {"type": "number"}
_TEXT_OR_NULL: Final[JsonObject] = {"type": ["string", "null"]}


def about_operations() -> Iterator[Operation]:
    """Describe the version, and what it runs on."""
    numbers = dict.fromkeys(("major", "minor", "patch", "value"), _NUMBER)
    texts = dict.fromkeys(("build", "suffix", "suffix_version"), _TEXT_OR_NULL)
    version = object_of("raw", *numbers, *texts, raw=TEXT, **numbers, **texts)
    yield _make("/api/version", "version", "The version of Otoroshi whose API this is", version)
    keys = ("otoroshi_cluster_id", "otoroshi_version", "oto_trio_version", "datastore", "env")
    infos = object_of(
        *keys,
        *("otoroshi_version_sem", "java_version", "os"),
        **dict.fromkeys(keys, TEXT),
        otoroshi_version_sem=version,
        java_version=object_of("version", "vendor", version=TEXT, vendor=TEXT),
        os=object_of("name", "version", "arch", name=TEXT, version=TEXT, arch=TEXT),
    )
    yield _make("/api/infos", "infos", "What this installation is, and what it runs on", infos)


def _make(path: str, name: str, summary: str, schema: JsonObject) -> Operation:
    """Describe one operation."""
    whole: JsonObject = {"anyOf": [schema, reference("api.Envelope")]}
    return Operation(
        method="GET",
        path=path,
        served_by=path,
        id=name,
        tag=_TAG,
        summary=summary,
        answers={"200": json_answer("It.", whole), **refusals()},
        parameters=tuple(map(parameter, ("pretty", "envelope"))),
    )
