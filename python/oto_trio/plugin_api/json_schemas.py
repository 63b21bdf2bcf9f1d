"""JSON schemas that operators write in configurations."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import msgspec

__all__ = ["SchemaFault", "schema_check"]


class SchemaFault(ValueError):  # noqa: N818 (it is the fault of a schema)
    """A schema cannot be used; the text begins with the field that is wrong."""


@lru_cache(maxsize=256)
def schema_check(schema: str, specification: str) -> Callable[[Any], bool]:
    """Compile a schema; the outcome tells whether it accepts a JSON value.

    Args:
        schema: The schema as JSON.
        specification: The URI of its dialect; a ``$schema`` in the schema itself wins.

    Raises:
        SchemaFault: It is no JSON or no schema, or the dialect is unknown.

    Nothing is fetched for it: a value that leads to a reference elsewhere raises.
    """
    # Some megabytes that only those gateways need which have such a plugin.
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415
    from referencing.jsonschema import EMPTY_REGISTRY  # noqa: PLC0415

    try:
        document: object = msgspec.json.decode(schema)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SchemaFault(f"schema: not JSON: {error}") from None
    if not isinstance(document, dict | bool):
        raise SchemaFault("schema: a JSON schema is an object, true or false")
    written = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    dialect = written.get("$schema", specification)
    kind = _kind_of(dialect)
    if kind is None:
        raise SchemaFault(
            f"specification: {dialect!r} is no dialect of JSON schema that is known here; "
            "use https://json-schema.org/draft/2020-12/schema or an older draft"
        )
    try:
        kind.check_schema(document)
    except SchemaError as error:
        raise SchemaFault(f"schema: {error.json_path}: {error.message}") from None
    return cast("Callable[[Any], bool]", kind(document, registry=EMPTY_REGISTRY).is_valid)


def _kind_of(dialect: object) -> Any:
    """Return the class that checks by a dialect; None when there is none."""
    from jsonschema.validators import validator_for  # noqa: PLC0415 (as above)

    unknown: Any = None
    try:
        return validator_for({"$schema": dialect}, default=unknown)
    except (ValueError, AttributeError):  # no URI, or no text
        return None
