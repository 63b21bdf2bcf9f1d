"""Types and values in words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Meta, UnsetType

from oto_trio.model.wording import describe_type, json_kind


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true or false"),
        (1, "a whole number"),
        (1.5, "a number"),
        ("", "a text"),
        ([], "a list"),
        ({}, "an object"),
        (UNSET, "a UnsetType"),
    ],
)
def test_values(value: object, words: str) -> None:
    assert json_kind(value) == words


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (str, "a text"),
        (Annotated[int, Meta(ge=0)], "a whole number"),
        (int | float, "a whole number or a number"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (str | UnsetType, "a text"),
        (dict[str, str], "an object of texts"),
        (dict[str, Any], "an object"),
        (tuple[str, ...], "a list of texts"),
        (tuple[int, ...], "a list of whole numbers"),
        (Any, "a value"),
    ],
)
def test_types(hint: Any, words: str) -> None:
    assert describe_type(hint) == words
