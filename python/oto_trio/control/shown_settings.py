"""Settings as people may see them: each value, where it comes from, what it overrules, no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec
from typing_extensions import override

from oto_trio import _core
from oto_trio.control.environment import is_secret, variables_of
from oto_trio.control.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MASK", "ShownSetting", "ValueSource", "shown_settings"]

MASK: Final = "***"
"""Stands for every secret."""


class ValueSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a value comes from."""

    kind: Literal["default", "file", "environment", "flag"]
    name: str = ""
    """The file's path, the variable or the flag."""
    key: str = ""
    """Where in the file it stands."""

    @override
    def __str__(self) -> str:
        """Say it in few words."""
        match self.kind:
            case "file":
                return f"{self.name}: {self.key}"
            case "environment":
                return f"${self.name}"
            case _:
                return self.name or self.kind


class ShownSetting(msgspec.Struct, frozen=True):
    """One setting as it may be shown."""

    name: str
    value: Any
    """Made of what JSON knows; secrets in it are `MASK`."""
    source: ValueSource
    overrules: tuple[ValueSource, ...]
    """Who else gives a value, which is not used; the strongest first."""


def shown_settings(
    settings: Settings,
    *,
    file: tuple[Path, Mapping[str, object]] | None,
    environ: Mapping[str, str],
    variables: Mapping[str, str],
    flags: Mapping[str, str],
) -> list[ShownSetting]:
    """Describe settings one by one, in the order of the struct.

    Args:
        settings: What is in force.
        file: The configuration file's path and what it sets; None when there is none.
        environ: The environment variables.
        variables: The variable that each setting takes from the environment; those that were refused
            are not in it.
        flags: The flags that were given, such as ``--http-port``, by the name of their setting.
    """
    shown: list[ShownSetting] = []
    for field in msgspec.structs.fields(Settings):
        name = field.name
        sources: list[ValueSource] = []
        if name in flags:
            sources.append(ValueSource("flag", flags[name]))
        if name in variables:
            strongest = variables[name]
            others = (v for v in variables_of(name) if environ.get(v) and v != strongest)
            sources += [ValueSource("environment", v) for v in (strongest, *others)]
        if file is not None and name in file[1]:
            sources.append(ValueSource("file", str(file[0]), f"settings.{name}"))
        sources.append(ValueSource("default"))
        value = _masked(getattr(settings, name), is_secret=is_secret(field.type))
        # That a default is overruled goes without saying.
        shown.append(ShownSetting(name, value, sources[0], tuple(sources[1:-1])))
    return shown


def _masked(value: object, *, is_secret: bool) -> Any:
    """Return a value as JSON has it, without secrets: by mark, and by the names of members."""
    if is_secret:
        return None if value is None else MASK
    if isinstance(value, dict):
        # Free members have no marks; the rules of events know secrets by their names.
        return msgspec.json.decode(_REDACTION.json(msgspec.json.encode(value)))
    if isinstance(value, tuple):
        return [_without_marked(item) for item in cast("tuple[object, ...]", value)]
    return _without_marked(value)


def _without_marked(item: object) -> Any:
    """Return the members of a struct without its secrets; what is no struct as it is."""
    if not isinstance(item, msgspec.Struct):
        return item
    return {
        field.name: _masked(getattr(item, field.name), is_secret=is_secret(field.type))
        for field in msgspec.structs.fields(item)
    }


_REDACTION: Final = _core.Redaction(b"{}")
