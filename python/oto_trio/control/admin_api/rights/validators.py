"""Entity validators: what a user's writes must look like, beside what every write must.

Those of the settings hold for every user, and each user has its own. They are named by the singular name of a
kind of entities, or ``all``. A plain API key has no user, and none of them hold for it; that is Otoroshi's
rule, and a key with rights in its metadata is a user.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES
from oto_trio.model.json_path import JsonPathError, compile_path
from oto_trio.plugin_api.json_values import JsonPathValidator, value_meets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oto_trio.control.admin_api.rights.caller import Caller
    from oto_trio.control.store.base import Put
    from oto_trio.model.json_path import JsonPath
    from oto_trio.model.rights import Validators

__all__ = ["EVERY_KIND", "EntityValidators", "validator_problem"]

EVERY_KIND: Final = "all"

DEFAULT_KIND: Final = "json-path-validator"

_NAMES: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset(
        {EVERY_KIND}
        | {each.singular.lower() for each in LEGACY_RESOURCES if each.store_kind == kind}
    )
    for kind in {resource.store_kind for resource in LEGACY_RESOURCES}
}
"""By store kind: under which names its validators stand."""


class EntityValidators:
    """Judges what users write.

    Args:
        shared: The validators that hold for every user (`entity_validators` of the settings).
    """

    def __init__(self, shared: Validators | None = None) -> None:
        self._shared = shared or {}

    def inspect(self, caller: Caller, write: Put) -> ApiError | None:
        """Judge one document.

        Returns:
            Why it is refused, with the text of every validator that does; None when it is not.
        """
        names = _NAMES.get(write.kind, frozenset({EVERY_KIND}))
        mine = [*_named(self._shared, names), *_named(caller.validators, names)]
        if not mine:
            return None
        document: Any = msgspec.json.decode(write.document)
        refusing = [found for each in mine if (found := _fault(each, document)) is not None]
        if not refusing:
            return None
        texts = [text for text in refusing if text]
        return ApiError(400, "bad_request", texts or "entity validation failed")


def _named(validators: Validators, names: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Give the validators of some names; case does not matter."""
    for name, listed in validators.items():
        if name.lower() in names:
            yield from listed


def _fault(raw: dict[str, Any], document: Any) -> str | None:
    """Apply one validator: the text of its refusal, which may be empty; None when it is content.

    One that cannot be used refuses everything, and says so: whoever wrote it wanted something kept out.
    """
    problem = validator_problem(raw)
    if problem is not None:
        return f"a validator of yours cannot be used: {problem}"
    validator = msgspec.convert(raw, JsonPathValidator)
    if value_meets(_compiled(validator.path), document, validator.value):
        return None
    return validator.error or ""


def validator_problem(raw: object) -> str | None:
    """Say why a validator cannot be used; None when it can."""
    if not isinstance(raw, dict):
        return "it is no object"
    validator = cast("dict[str, object]", raw)
    kind = validator.get("kind", DEFAULT_KIND)
    if kind != DEFAULT_KIND:
        return f"kind {str(kind)[:60]!r} is not served; use {DEFAULT_KIND}"
    if "value" not in validator:
        return "it has no value; say what must be there, such as IsDefined()"
    try:
        return msgspec.convert(validator, JsonPathValidator).fault()
    except msgspec.ValidationError as error:
        return str(error)


@lru_cache(maxsize=256)
def _compiled(path: str) -> JsonPath:
    try:
        return compile_path(path)
    except JsonPathError as error:
        raise AssertionError("checked before") from error
