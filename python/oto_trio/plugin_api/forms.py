"""The form of a struct: what Otoroshi's pages and its plugin list call a schema and a flow.

A schema has one row a field: a label, the kind of input and what there is to choose; a flow says in which
order they come. Both are made of the JSON schema that the struct's field metadata gives, so that a field is
written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Form", "form_of"]

_INPUTS: Final = {"string": "string", "boolean": "bool", "integer": "number", "number": "number"}
"""Otoroshi's kinds of inputs for JSON's types."""

_ANYTHING: Final = "any"
"""The input of a value that may be any JSON."""


class Form(msgspec.Struct, frozen=True):
    """A form, as Otoroshi's pages draw it."""

    schema: dict[str, Any]
    """One row by key of the JSON."""
    flow: list[str]
    """The keys in the order in which they are shown."""


def form_of(struct: type[msgspec.Struct] | None) -> Form:
    """Make the form of a struct; an empty one without.

    A struct that holds itself is cut where it begins again: that field takes any JSON.

    Args:
        struct: A plugin's config, or an entity.
    """
    if struct is None:
        return Form({}, [])
    schema = msgspec.json.schema(struct)
    definitions: dict[str, Any] = schema["$defs"]
    return _form(definitions, _name(schema["$ref"]), ())


def _name(reference: str) -> str:
    """Take the name of a definition from what points to it."""
    return reference.rpartition("/")[2]


def _form(definitions: Mapping[str, Any], name: str, above: tuple[str, ...]) -> Form:
    """Make the form of one definition.

    Args:
        definitions: All of them by name.
        name: Which.
        above: Those it is part of, outermost first.
    """
    fields: dict[str, Any] = definitions[name].get("properties", {})
    rows = {
        key: {"label": key, **_row(definitions, field, (*above, name)), **_help(field)}
        for key, field in fields.items()
    }
    return Form(rows, list(rows))


def _help(field: Mapping[str, Any]) -> dict[str, Any]:
    """Take over what is said of a field."""
    return {"help": field["description"]} if "description" in field else {}


def _row(
    definitions: Mapping[str, Any], field: Mapping[str, Any], above: tuple[str, ...]
) -> dict[str, Any]:
    """Say how one value is put in."""
    if "anyOf" in field:
        forms = [one for one in field["anyOf"] if one != {"type": "null"}]
        return _row(definitions, forms[0], above) if len(forms) == 1 else {"type": _ANYTHING}
    if "enum" in field:
        return {
            "type": "select",
            "props": {"options": [{"label": str(one), "value": one} for one in field["enum"]]},
        }
    if "$ref" in field:
        name = _name(field["$ref"])
        target = cast("dict[str, Any]", definitions[name])
        if "properties" not in target:
            return _row(definitions, target, above)
        if name in above:
            return {"type": _ANYTHING}
        inner = _form(definitions, name, above)
        return {
            "type": "form",
            "collapsable": True,
            "collapsed": True,
            "schema": inner.schema,
            "flow": inner.flow,
        }
    kind: object = field.get("type")
    if kind == "array":
        return _list(definitions, field, above)
    if kind == "object":
        return {"type": "object"}
    return {"type": _INPUTS.get(str(kind), _ANYTHING)}


def _list(
    definitions: Mapping[str, Any], field: Mapping[str, Any], above: tuple[str, ...]
) -> dict[str, Any]:
    """Say how a list is put in: plain values, choices, or a form for each."""
    item: object = field.get("items")
    row = _row(definitions, cast("dict[str, Any]", item), above) if isinstance(item, dict) else {}
    match row.get("type"):
        case "form":
            form = {key: row[key] for key in ("schema", "flow")}
            return {"type": "array", "array": True, "format": "form", **form}
        case "select":
            return {**row, "array": True}
        case _:
            return {"type": "array", "array": True, "format": None}
