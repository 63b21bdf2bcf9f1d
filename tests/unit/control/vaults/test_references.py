"""References to secrets in documents."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.control.vaults.base import SecretError
from oto_trio.control.vaults.references import (
    MAX_EXPRESSIONS,
    MAX_INSERTED_BYTES,
    MAX_REFERENCES,
    Reference,
    fill,
    has_references,
    parse_reference,
    references_of,
)


def first(_: str, __: int) -> int:
    return 0


def filled(document: object, values: dict[str, str | None]) -> object:
    text = json.dumps(document, ensure_ascii=False).encode()
    return json.loads(fill(text, values, first).document)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("${vault://a/x}", "one"),
        ("Bearer ${vault://a/x}!", "Bearer one!"),
        ("${vault://a/x}${vault://b/y?v=2}", "onetwo"),
        ("${vault://a/none}", "not-found"),
        ("${vault://a/none || vault://b/y?v=2}", "two"),
        ("${vault://a/x || vault://b/y?v=2}", "one"),
        ("${vault://a/none||vault://b/none}", "not-found"),
        ("${vault://b/y?v=2 && vault://a/x}", "two"),
        ("${vault://a/none && vault://a/x || vault://a/x}", "one"),
        ("${req.path} ${vault://a/x", "${req.path} ${vault://a/x"),
        ("${vault:/a/x}", "${vault:/a/x}"),
        ('${vault://q/"é}', "quoted"),
    ],
)
def test_expressions_are_replaced_and_nothing_else(expression: str, value: str) -> None:
    values = {"vault://a/x": "one", "vault://b/y?v=2": "two", 'vault://q/"é': "quoted"}
    assert filled({"k": [expression, 1]}, dict(values)) == {"k": [value, 1]}


def test_references_take_turns() -> None:
    turns = iter([0, 1, 0])
    document = b'["${vault://a/x && vault://a/y}","${vault://a/x && vault://a/y}"]'
    values: dict[str, str | None] = {"vault://a/x": "x", "vault://a/y": "y"}
    result = fill(document, values, lambda name, count: next(turns) % count)
    assert result.document == b'["x","y"]'


@given(st.text())
def test_any_text_arrives_as_it_is_and_is_not_looked_into(secret: str) -> None:
    for value in (secret, "${vault://a/x}" + secret, '"}]' + secret):
        if value.encode(errors="replace").decode() != value:
            continue
        assert filled(["<${vault://a/x}>"], {"vault://a/x": value}) == [f"<{value}>"]


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x, max_size=4)))
def test_a_document_without_references_stays_byte_for_byte(value: object) -> None:
    text = json.dumps(value).encode()
    if not has_references(text):
        assert fill(text, {}, first).document == text
        assert references_of(text) == ()


def test_every_secret_is_named_once() -> None:
    document = b'["${vault://a/x || vault://b/y}","${vault://a/x}","${vault://c/z && vault://b/y}"]'
    assert references_of(document) == ("vault://a/x", "vault://b/y", "vault://c/z")


def test_a_document_has_bounds() -> None:
    many = [f"${{vault://a/{i}}}" for i in range(MAX_REFERENCES + 5)]
    text = json.dumps(many).encode()
    references = references_of(text)
    assert len(references) == MAX_REFERENCES
    result = fill(text, dict.fromkeys(references, "v"), first)
    assert result.is_cut
    assert json.loads(result.document) == ["v"] * MAX_REFERENCES + ["not-found"] * 5
    same = json.dumps(["${vault://a/x}"] * (MAX_EXPRESSIONS + 3)).encode()
    result = fill(same, {"vault://a/x": "v"}, first)
    assert result.is_cut
    assert json.loads(result.document) == ["v"] * MAX_EXPRESSIONS + ["not-found"] * 3
    big = "v" * (MAX_INSERTED_BYTES // 2)
    result = fill(
        b'["${vault://a/x}","${vault://a/x}","${vault://a/x}"]', {"vault://a/x": big}, first
    )
    assert result.is_cut
    assert json.loads(result.document) == [big, big, "not-found"]
    assert not fill(b'["${vault://a/x}"]', {"vault://a/x": "v"}, first).is_cut


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("vault://env/NAME", Reference("env", ("NAME",), {})),
        ("vault://env//NAME/", Reference("env", ("NAME",), {})),
        ("vault://v/a/b/c?x=1&y=%2F", Reference("v", ("a", "b", "c"), {"x": "1", "y": "/"})),
        ("vault://v/a%20b", Reference("v", ("a b",), {})),
        ("vault://v", Reference("v", (), {})),
    ],
)
def test_references_are_read(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    "path", ["", "/x", "v/../x", "v/a/%2e%2e/b", "v/./x", "v/a%2Fb", "v/a%00b", "v/" + "x" * 2000]
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(SecretError) as raised:
        parse_reference(f"vault://{path}")
    assert raised.value.status == "bad-secret-path"
