"""The tree of errors and its catalogue."""

from __future__ import annotations

from typing import get_args

import pytest

from oto_trio.model import errors
from oto_trio.model.errors import (
    ERROR_CODES,
    ConflictError,
    EntityError,
    GatewayError,
    Problem,
    Retry,
    SettingsError,
    Source,
)


def test_the_catalogue_holds_every_public_error_class_once() -> None:
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, GatewayError)
    }
    assert classes <= set(ERROR_CODES.values())
    assert {cls.__name__ for cls in classes} <= set(errors.__all__)


def test_every_error_says_whose_fault_it_is_and_whether_to_retry() -> None:
    for code, cls in ERROR_CODES.items():
        assert cls.code == code
        assert cls.source in get_args(Source)
        assert cls.retry in get_args(Retry)
        assert 400 <= cls.status < 600
        assert cls.__doc__


def test_a_code_cannot_be_taken_twice() -> None:
    with pytest.raises(AssertionError, match="used twice"):
        type("AnotherError", (GatewayError,), {"code": "conflict"})


def test_all_problems_are_in_the_message() -> None:
    problems = [Problem("$.a", "is wrong", "mend it"), Problem("$.b", "too", "mend it too")]
    assert str(EntityError("route", problems)) == (
        "this route cannot be read: $.a: is wrong; mend it | $.b: too; mend it too"
    )
    assert str(SettingsError(problems)) == "$.a: is wrong; mend it\n$.b: too; mend it too"


def test_a_conflict_tells_what_was_found() -> None:
    assert "does not exist" in str(ConflictError("route", "r", "present", None))
    assert "revision 7" in str(ConflictError("route", "r", "absent", 7))
