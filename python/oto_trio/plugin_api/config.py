"""The config of a plugin: a frozen msgspec struct whose field metadata feeds everything else.

A field is written once, with its default, its bounds and its description::

    class RedirectionConfig(Config, frozen=True):
        code: Annotated[int, Meta(description="The status of the redirect.")] = 303

From it come validation, the effective config, the JSON schema, the console's form and the docs page.

Reading is as lenient as Otoroshi's readers where that is harmless (unknown keys are ignored, a number
may be written as a string, ``null`` reads as "not given") and strict where a guess could open a route:
a value of the wrong type is refused, with its path.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeVar, cast, get_args

import msgspec
from msgspec import UNSET

from oto_trio.model.errors import Problem
from oto_trio.model.wording import in_words, unwrap
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.fields import HEADER_NAME_PATTERN, HEADER_VALUE_PATTERN

__all__ = [
    "Config",
    "config_schema",
    "default_config",
    "effective_config",
    "read_config",
    "unread_config_keys",
]

_EXPECTED: dict[str, str] = {
    HEADER_NAME_PATTERN: "expected a header name (letters, digits and !#$%&'*+.^_`|~-)",
    HEADER_VALUE_PATTERN: "expected a header value (latin-1 text without control characters)",
}


_FIELD_NAME: Final = re.compile(r"[.\[\]]+")


class Config(msgspec.Struct, frozen=True):
    """Base of every plugin config. Give each field a default and a description."""

    nullable: ClassVar[frozenset[str]] = frozenset()
    """JSON keys whose ``null`` says something: an explicit one is kept, and is not the default then."""

    unused: ClassVar[frozenset[str]] = frozenset()
    """JSON keys that are in Otoroshi's own default config, and that nothing reads there either: no slip of who wrote them."""

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
    nullable = frozenset[str]()
    if struct is not None and issubclass(struct, Config):
        nullable = struct.nullable
    for key, value in slot_config.items():
        # Otoroshi's readers take an explicit null like an absent key, mostly.
        if value is not None or key not in merged or key in nullable:
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
        raise PluginError(_own_words(struct, text, path)) from error


def unread_config_keys(struct: type[msgspec.Struct], slot_config: Mapping[str, Any]) -> list[str]:
    """Return the keys of a slot's config that its plugin does not read, so that they do nothing.

    A key of an older export that `Config.normalise` looks at is read. One that is Otoroshi's own (`Config.unused`) is not told.
    """
    known = {field.encode_name for field in msgspec.structs.fields(struct)}
    if issubclass(struct, Config):
        known |= struct.unused
    return [
        key for key in slot_config if key not in known and not _is_read(struct, slot_config, key)
    ]


def _is_read(struct: type[msgspec.Struct], slot_config: Mapping[str, Any], key: str) -> bool:
    """Tell whether anything depends on a key that is no field."""
    without = {name: value for name, value in slot_config.items() if name != key}
    # What is written may be what the plugin takes anyhow.
    for config in (slot_config, {**slot_config, key: f"not {slot_config[key]}"}):
        try:
            whole = _normalised(struct, config)
        except (PluginError, TypeError, ValueError, AttributeError, LookupError):
            return True  # it is no such text
        whole.pop(key, None)
        if whole != _normalised(struct, without):
            return True
    return False


def _normalised(struct: type[msgspec.Struct], slot_config: Mapping[str, Any]) -> dict[str, Any]:
    raw = copy.deepcopy(effective_config(struct, slot_config))
    return struct.normalise(raw) if issubclass(struct, Config) else raw


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


def _own_words(struct: type[msgspec.Struct], text: str, path: str) -> Problem:
    """Make the problem of a config.

    A check of the plugin's own says ``FIELD: what is wrong; what to write``, which says more than the
    field's description.
    """
    field, separator, reason = text.partition(": ")
    names = {one.encode_name for one in msgspec.structs.fields(struct)}
    if separator and path == "$" and _FIELD_NAME.split(field)[0] in names:
        message, has_fix, fix = reason.rpartition("; ")
        path = f"$.{field}"
        if has_fix:
            return Problem(path, message, fix)
        return Problem(path, reason, _fix(struct, path))
    return Problem(path, text, _fix(struct, path))


def _description(hint: object) -> str:
    """Return the description in a field's ``Annotated`` type; ``""`` when it has none."""
    metadata: tuple[object, ...] = getattr(hint, "__metadata__", ())
    described = (m.description for m in metadata if isinstance(m, msgspec.Meta) and m.description)
    return next(described, "")


def _fix(struct: type[msgspec.Struct], path: str) -> str:
    """Say what the field at ``path`` takes, from its description and default."""
    steps = [step for step in _FIELD_NAME.split(path.removeprefix("$")) if step]
    found: msgspec.structs.FieldInfo | None = None
    default: object = UNSET
    owner: type[msgspec.Struct] | None = struct
    for step in steps:
        fields = {} if owner is None else {f.encode_name: f for f in msgspec.structs.fields(owner)}
        if step not in fields:
            continue  # a place in a list or map
        found, default = fields[step], (default_config(owner) or {}).get(step, UNSET)
        owner = _struct_in(found.type)
    if found is None:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(struct))
        return f"the config has the fields: {known}"
    text = _description(found.type)
    described = f": {text.rstrip('.')}" if text else ""
    choices = in_words(unwrap(found.type)[0])
    if choices.startswith("one of "):
        described += f"; {choices}"
    shown = "" if default is UNSET else f" (default {msgspec.json.encode(default).decode()})"
    return f"correct {path}{described}{shown}"


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """Return the struct that a field's type is, or holds as its only one; None without."""
    if isinstance(hint, type):
        return hint if issubclass(hint, msgspec.Struct) else None
    inside = [_struct_in(part) for part in get_args(hint)]
    structs = [one for one in inside if one is not None]
    return structs[0] if len(structs) == 1 else None
