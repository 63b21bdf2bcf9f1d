"""YAML of the admin API, read as JSON values and written. `bodies` loads this with the first text of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import yaml

from oto_trio.control.admin_api.bodies import MAX_DEPTH, TOO_DEEP
from oto_trio.control.admin_api.refusals import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read", "read_all", "write"]

# What PyYAML lets out of its constructors for scalars that are not what their tag says.
_FAULTS: Final = (
    yaml.YAMLError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class _Loader(yaml.CSafeLoader):
    """Reads YAML as JSON values: no dates, no sets, no anchors."""


_Loader.yaml_implicit_resolvers = {  # pyright: ignore[reportUnknownMemberType]
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
}


def read(text: bytes) -> Any:
    """See `bodies.decode_yaml`."""
    return _decoded(lambda: yaml.load(text, Loader=_Loader), text)  # noqa: S506 - a safe loader


def read_all(text: bytes) -> list[Any]:
    """See `bodies.decode_yaml_documents`."""
    values = _decoded(lambda: list(yaml.load_all(text, Loader=_Loader)), text)
    return [value for value in values if value is not None]


def write(value: object) -> bytes:
    """See `bodies.encode_yaml`."""
    dumped: str = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return dumped.encode()


def _check_events(text: bytes) -> None:
    """Refuse what would cost more than its length, before anything is built from it."""
    depth = 0
    for event in cast("Any", yaml).parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise bad_request("anchors and aliases are not accepted here; write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise bad_request(TOO_DEEP)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _decoded(load: Callable[[], Any], text: bytes) -> Any:
    """Load YAML, and say in our words what is wrong with it."""
    try:
        _check_events(text)
        return msgspec.json.decode(msgspec.json.encode(load()))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise bad_request(f"error while parsing yaml: {error.problem}{place}") from None
    except _FAULTS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise bad_request(f"error while parsing yaml: {reason}") from None
