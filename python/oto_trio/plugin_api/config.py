"""The config of a plugin: a frozen msgspec struct whose field metadata feeds everything else.

A field is written once, with its default, its bounds and its description::

    class RedirectionConfig(Config, frozen=True):
        code: Annotated[int, Meta(description="The status of the redirect.")] = 303

From it come validation, the effective config, the JSON schema, the console's form and the docs page.

Reading is as lenient as Otoroshi's readers where that is harmless (unknown keys are ignored, a number
may be written as a string, ``null`` reads as "not given") and strict where a guess could open a route:
a value of the wrong type is refused, with its path.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec
from msgspec import UNSET

from oto_trio.model.errors import Problem
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.fields import HEADER_NAME_PATTERN, HEADER_VALUE_PATTERN

__all__ = [
    "Config",
    "config_schema",
    "default_config",
    "effective_config",
    "read_config",
]

_EXPECTED: dict[str, str] = {
    HEADER_NAME_PATTERN: "expected a header name (letters, digits and !#$%&'*+.^_`|~-)",
    HEADER_VALUE_PATTERN: "expected a header value (latin-1 text without control characters)",
}


class Config(msgspec.Struct, frozen=True):
    """Base of every plugin config. Give each field a default and a description."""

    @classmethod
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Return ``raw`` in the present shape: rename the keys that older exports use.

        Args:
            raw: The effective config, still plain JSON; may be changed in place.
        """
        return raw


ConfigStruct = TypeVar("ConfigStruct", bound=msgspec.Struct)


def default_config(struct: type[msgspec.Struct] | None) -> dict[str, Any] | None:
    """Return the ``default_config`` of a plugin as JSON; ``None`` for a plugin without config.

    A field without a default is left out: there is no sane value to show.
    """
    if struct is None:
        return None
    defaults: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        if field.default is not msgspec.NODEFAULT:
            value = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            value = field.default_factory()
        else:
            continue
        if value is not UNSET:
            defaults[field.encode_name] = msgspec.json.decode(msgspec.json.encode(value))
    return defaults


def effective_config(
    struct: type[msgspec.Struct] | None, slot_config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the default config with the slot's keys laid over it, top level only.

    Source: Otoroshi merges ``default_config ++ slot.config`` shallowly; the slot wins.
    """
    merged = default_config(struct) or {}
    for key, value in slot_config.items():
        # Otoroshi's readers take an explicit null like an absent key.
        if value is not None or key not in merged:
            merged[key] = value
    return merged


def read_config(struct: type[ConfigStruct], slot_config: Mapping[str, Any]) -> ConfigStruct:
    """Read a slot's config into the plugin's struct.

    Raises:
        PluginError: A value is wrong; the problem's path starts at the config (``$.code``).
    """
    raw = effective_config(struct, slot_config)
    if issubclass(struct, Config):
        raw = struct.normalise(raw)
    try:
        return msgspec.convert(raw, struct, strict=False)
    except msgspec.ValidationError as error:
        text, path = split_path(str(error))
        path = _locate(struct, raw, path)
        raise PluginError(Problem(path, text, _fix(struct, path))) from error


def config_schema(struct: type[msgspec.Struct] | None) -> dict[str, Any] | None:
    """Return the JSON schema of a config; ``None`` for a plugin without config."""
    return None if struct is None else msgspec.json.schema(struct)


def split_path(message: str) -> tuple[str, str]:
    """Split msgspec's message into a readable text and its JSON path.

    The path is ``$`` when the message names none; a member of a map reads ``[...]`` and its key
    ``[...]`` too, because msgspec does not say which.
    """
    text, separator, path = message.rpartition(" - at `")
    if not separator:
        text, path = message, "$"
    if path.startswith("key` in `"):
        path = path.removeprefix("key` in `").removesuffix("`") + "[...]"
    path = path.removesuffix("`")
    for pattern, expected in _EXPECTED.items():
        # msgspec shows the pattern as repr() would.
        if text == f"Expected `str` matching regex {pattern!r}":
            return expected, path
    return text[:1].lower() + text[1:].replace("`", ""), path


def _locate(struct: type[msgspec.Struct], raw: dict[str, Any], path: str) -> str:
    """Replace the first ``[...]`` of ``path`` by the key of the member that is at fault.

    Only a map directly in a top-level field is looked into; deeper ones keep their ``[...]``.
    """
    name, separator, rest = path.removeprefix("$.").partition("[...]")
    members: object = raw.get(name)
    if not separator or not isinstance(members, dict):
        return path
    faulty = (
        f"$.{name}[{msgspec.json.encode(key).decode()}]{rest}"
        for key, value in cast("dict[str, object]", members).items()
        if not _is_valid(struct, {**raw, name: {key: value}})
    )
    return next(faulty, path)


def _is_valid(struct: type[msgspec.Struct], raw: dict[str, Any]) -> bool:
    """Tell whether a whole config can be read."""
    try:
        msgspec.convert(raw, struct, strict=False)
    except msgspec.ValidationError:
        return False
    return True


def _description(hint: object) -> str:
    """Return the description in a field's ``Annotated`` type; ``""`` when it has none."""
    metadata: tuple[object, ...] = getattr(hint, "__metadata__", ())
    described = (m.description for m in metadata if isinstance(m, msgspec.Meta) and m.description)
    return next(described, "")


def _fix(struct: type[msgspec.Struct], path: str) -> str:
    """Say what the field at ``path`` takes, from its description and default."""
    name = path.removeprefix("$.").split(".")[0].split("[")[0]
    default = default_config(struct) or {}
    for field in msgspec.structs.fields(struct):
        if field.encode_name != name:
            continue
        text = _description(field.type)
        described = f": {text.rstrip('.')}" if text else ""
        shown = msgspec.json.encode(default[name]).decode() if name in default else None
        return f"correct {path}{described}" + (f" (default {shown})" if shown else "")
    known = ", ".join(field.encode_name for field in msgspec.structs.fields(struct))
    return f"the config has the fields: {known}"
