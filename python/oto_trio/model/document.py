"""How entities are read from JSON documents and written back.

Theory of operation
-------------------
An entity is a frozen msgspec struct whose fields, in order, are the JSON keys that Otoroshi writes.
Reading has two ways through, with one outcome:

* the fast one, for documents as oto-trio and Otoroshi write them: msgspec converts the whole tree in C,
  and a look at the key sets proves that no key was unknown;
* the careful one, for everything else: short forms are expanded, each key is converted alone, a key of
  the wrong type is treated as absent (as Otoroshi does) with a warning, a required key that is missing
  or wrong is an error, and so is a wrong one whose default would let more people in than what was meant.
  All problems are gathered, not just the first.

Keys we do not know are kept beside the struct (`Document.unknown`) and written back after the known
ones, so an export of a newer Otoroshi passes through unharmed.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import UNSET, UnsetType

from oto_trio.model.errors import EntityError, Problem
from oto_trio.model.wording import broken_bound, in_words, json_kind, unwrap

__all__ = [
    "EVERY_KEY",
    "UNKNOWN_KEY",
    "Document",
    "JsonObject",
    "ShortFormError",
    "encode_document",
    "inspect_document",
    "read_document",
    "write_document",
]

JsonObject = dict[str, Any]
"""A JSON object as msgspec decodes it."""

UNKNOWN_KEY = "$unknown"
_UNKNOWN_MARK = b'"$unknown":'
D = TypeVar("D", bound="Document")

EVERY_KEY: Final = frozenset({"*"})
"""What `Document.strict_keys` is where all keys are."""


class ShortFormError(Exception):
    """A short form cannot be expanded. Raised by `Document.expand`, turned into a `Problem`.

    Args:
        key: The key of the object that holds the short form.
        message: What is wrong with it.
        fix: What to write instead.
    """

    def __init__(self, key: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.fix = fix


class Document(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of every struct that is read from, and written to, an entity document.

    The garbage collector does not look into them: what is read from JSON has no cycles, and with
    100,000 routes in memory looking costs more than reading.
    """

    unknown: JsonObject | UnsetType = msgspec.field(default=UNSET, name=UNKNOWN_KEY)
    """Keys this version does not know, kept verbatim; UNSET when there are none."""

    strict_keys: ClassVar[frozenset[str]] = frozenset()
    """Keys with which a wrong type is an error, not absence: their defaults bound nobody. Null is absence."""

    @classmethod
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Rewrite the short and legacy forms of this object to its full form.

        Only called on the careful way. Must not change ``raw``; the default has nothing to expand.

        Raises:
            ShortFormError: A short form is there, but cannot be understood.
        """
        return raw

    @classmethod
    def variant(cls, raw: JsonObject) -> type[Document]:  # noqa: ARG003 - for those that override it
        """Choose the struct of an entity whose keys depend on one of them, such as its ``type``.

        Only asked of whole entities, not of objects inside them. Gives this class, which is the
        default, or one made from it.
        """
        return cls

    @classmethod
    def variants(cls) -> tuple[type[Document], ...]:
        """Name all that `variant` may choose, for schemas."""
        return (cls,)


class _Field(NamedTuple):
    """What the careful way must know about one field."""

    attribute: str
    key: str
    shape: Literal["leaf", "one", "many"]
    """leaf = msgspec converts it; one = a nested document; many = a list of documents."""
    type: Any
    """The leaf's type, or the nested document's class."""
    required: bool
    nullable: bool
    strict: bool
    """A wrong type is an error."""
    expected: str
    """In words, for messages: ``a text``, ``true or false``."""
    description: str


class _Shape(NamedTuple):
    """A document class taken apart, once."""

    fields: tuple[_Field, ...]
    known: frozenset[str]
    nested: tuple[tuple[str, Any, bool], ...]
    """(key, class, is a list) of the fields that hold documents."""


@cache
def _shape_of(cls: type[Document]) -> _Shape:
    """Take a document class apart."""
    fields: list[_Field] = []
    for field in msgspec.structs.fields(cls):
        if field.encode_name == UNKNOWN_KEY:
            continue
        bare, description, nullable = unwrap(field.type)
        shape: Literal["leaf", "one", "many"] = "leaf"
        target: Any = field.type
        if isinstance(bare, type) and issubclass(bare, Document):
            shape, target = "one", bare
        elif get_origin(bare) is tuple:
            item = get_args(bare)[0]
            if isinstance(item, type) and issubclass(item, Document):
                shape, target = "many", item
        words = {"one": "an object", "many": "a list of objects"}.get(shape) or in_words(bare)
        fields.append(
            _Field(
                field.name,
                field.encode_name,
                shape,
                target,
                field.required,
                nullable,
                cls.strict_keys is EVERY_KEY or field.encode_name in cls.strict_keys,
                words,
                description,
            )
        )
    return _Shape(
        fields=tuple(fields),
        known=frozenset(f.key for f in fields),
        nested=tuple((f.key, f.type, f.shape == "many") for f in fields if f.shape != "leaf"),
    )


def _has_only_known_keys(raw: JsonObject, shape: _Shape) -> bool:
    """Tell whether no key of the tree is unknown. Only for trees that msgspec accepted."""
    if not raw.keys() <= shape.known:
        return False
    for key, cls, many in shape.nested:
        value = raw.get(key)
        if value is None:
            continue
        inner = _shape_of(cls)
        if many:
            for item in cast("list[JsonObject]", value):
                if not _has_only_known_keys(item, inner):
                    return False
        elif not _has_only_known_keys(cast("JsonObject", value), inner):
            return False
    return True


def _fix_for(field: _Field) -> str:
    """Say what to write for a field."""
    meaning = f" ({field.description})" if field.description else ""
    return f"set it to {field.expected}{meaning}"


def _convert_leaf(value: object, hint: Any) -> object:
    """Convert one value; a number such as ``3.0`` also reads as the whole number 3.

    Raises:
        msgspec.ValidationError: The value does not fit the type.
    """
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError:
        if isinstance(value, float) and value.is_integer():
            return msgspec.convert(int(value), hint)
        raise


def _read_field(field: _Field, value: object, path: str, problems: list[Problem]) -> object:
    """Read one key on the careful way; UNSET means "use the default"."""
    if value is None and field.nullable:
        return None
    found = json_kind(value)
    if field.shape == "leaf":
        try:
            return _convert_leaf(value, field.type)
        except msgspec.ValidationError as error:
            bound = broken_bound(error, field.expected, found)
            if bound is not None:
                problems.append(Problem(path, bound, _fix_for(field)))
                return UNSET
    elif field.shape == "one" and type(value) is dict:
        return _read_object(field.type, cast("JsonObject", value), path, problems)
    elif field.shape == "many" and type(value) is list:
        items = cast("list[object]", value)
        return tuple(
            _read_item(field.type, item, f"{path}[{i}]", problems) for i, item in enumerate(items)
        )
    complaint = f"expected {field.expected}, found {found}"
    if field.required or (field.strict and value is not None):
        problems.append(Problem(path, complaint, _fix_for(field)))
    else:
        ignored = f"{complaint}; the key was read as absent"
        problems.append(Problem(path, ignored, _fix_for(field), "warning"))
    return UNSET


def _read_item(cls: type[Document], item: object, path: str, problems: list[Problem]) -> object:
    """Read one element of a list of documents; an element of another type refuses the document."""
    if type(item) is dict:
        return _read_object(cls, cast("JsonObject", item), path, problems)
    problems.append(
        Problem(path, f"expected an object, found {json_kind(item)}", "write an object here")
    )
    return UNSET


def _read_object(
    cls: type[D], raw: JsonObject, path: str, problems: list[Problem]
) -> D | UnsetType:
    """Read one object on the careful way; UNSET when it, or a part of it, cannot be read."""
    shape = _shape_of(cls)
    try:
        raw = cls.expand(raw)
    except ShortFormError as error:
        problems.append(Problem(f"{path}.{error.key}", error.message, error.fix))
        return UNSET
    values: dict[str, Any] = {}
    before = sum(p.severity == "error" for p in problems)
    for field in shape.fields:
        key_path = f"{path}.{field.key}"
        if field.key in raw:
            value = _read_field(field, raw[field.key], key_path, problems)
            if value is not UNSET:
                values[field.attribute] = value
        elif field.required:
            problems.append(Problem(key_path, "this key is required", _fix_for(field)))
    unknown = {k: v for k, v in raw.items() if k not in shape.known}
    if unknown:
        values["unknown"] = unknown
    if sum(p.severity == "error" for p in problems) > before:
        return UNSET
    return cls(**values)


def inspect_document(cls: type[D], raw: object) -> tuple[D | None, list[Problem]]:
    """Read a decoded JSON document and tell everything that is odd about it.

    Args:
        cls: What to read it as.
        raw: The decoded document. It is not changed, but parts of it are kept in the result.

    Returns:
        The entity (None when there are errors) and the problems, warnings among them.

    Cost: about 10 µs for a route in the form that oto-trio writes.
    """
    if not isinstance(raw, dict):
        problem = Problem("$", f"expected an object, found {json_kind(raw)}", "write an object")
        return None, [problem]
    document = cast("JsonObject", raw)
    cls = cast("type[D]", cls.variant(document))
    try:
        entity = msgspec.convert(document, cls)
    except msgspec.ValidationError:
        pass  # not in canonical form: the careful way says what is wrong, if anything is
    else:
        if _has_only_known_keys(document, _shape_of(cls)):
            return entity, []
    problems: list[Problem] = []
    careful = _read_object(cls, document, "$", problems)
    return (None if careful is UNSET else careful), problems


def read_document(cls: type[D], raw: object) -> D:
    """Read a decoded JSON document, leniently.

    Args:
        cls: What to read it as.
        raw: The decoded document. It is not changed, but parts of it are kept in the result.

    Raises:
        EntityError: A required key is missing or wrong; lists every such key.
    """
    entity, problems = inspect_document(cls, raw)
    if entity is None:
        errors = [p for p in problems if p.severity == "error"]
        raise EntityError(cls.__name__.lower(), errors)
    return entity


def _restore_unknown(written: JsonObject, shape: _Shape) -> None:
    """Put kept unknown keys back to their place, behind the known ones."""
    unknown: JsonObject | None = written.pop(UNKNOWN_KEY, None)
    if unknown is not None:
        for key, value in unknown.items():
            written.setdefault(key, value)
    for key, cls, many in shape.nested:
        value = written.get(key)
        if value is None:
            continue
        inner = _shape_of(cls)
        for item in value if many else (value,):
            _restore_unknown(item, inner)


def write_document(entity: Document) -> JsonObject:
    """Write an entity as the JSON document Otoroshi would write, keys in its order.

    Returns:
        A new tree of dicts, lists, texts, numbers, booleans and None.
    """
    encoded = msgspec.json.encode(entity)
    written: JsonObject = msgspec.json.decode(encoded)
    if _UNKNOWN_MARK in encoded:
        _restore_unknown(written, _shape_of(type(entity)))
    return written


def encode_document(entity: Document) -> bytes:
    """Write an entity as compact JSON text; the same document as `write_document` gives.

    Cost: about 2 µs for a route without unknown keys.
    """
    encoded = msgspec.json.encode(entity)
    if _UNKNOWN_MARK in encoded:
        return msgspec.json.encode(write_document(entity))
    return encoded
