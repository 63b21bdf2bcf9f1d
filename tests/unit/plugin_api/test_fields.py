"""What a config may say about header fields."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.plugin_api.fields import (
    HEADER_NAME_PATTERN,
    HEADER_VALUE_PATTERN,
    writable_fields,
)


@pytest.mark.parametrize("name", ["X-A", "", "a!#$%&'*+.^_`|~1"])
def test_good_names_match(name: str) -> None:
    assert re.search(HEADER_NAME_PATTERN, name)


@pytest.mark.parametrize("name", ["a b", "a:", "a\n", "é", "a\r\nb", "\n"])
def test_bad_names_do_not_match(name: str) -> None:
    assert not re.search(HEADER_NAME_PATTERN, name)


@given(st.text())
def test_a_value_that_matches_cannot_split_a_message(value: str) -> None:
    if re.search(HEADER_VALUE_PATTERN, value):
        assert not set(value) & set("\r\n\0\x7f")
        value.encode("latin-1")


@pytest.mark.parametrize("value", ["a\n", "\n", "a\r", "a\0", "€"])
def test_bad_values_do_not_match(value: str) -> None:
    assert not re.search(HEADER_VALUE_PATTERN, value)


def test_framing_and_nameless_fields_are_left_out() -> None:
    fields = {"": "x", "Content-Length": "1", "TRANSFER-ENCODING": "x", "Connection": "x", "A": "b"}
    assert writable_fields(fields) == {"A": "b"}


def test_the_order_is_that_of_the_names() -> None:
    assert list(writable_fields({"b": "1", "A": "2", "a": "3"})) == ["A", "a", "b"]
