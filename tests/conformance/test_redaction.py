"""The engine's redaction against a readable twin, and against what must never be told."""

from __future__ import annotations

import json
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio import _core
from tests.conformance.redaction_twin import MASK, WORDS, Twin, is_credential

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"

NAMES = st.one_of(
    st.sampled_from(
        [
            *(
                "key",
                "value",
                "code",
                "sig",
                "Accept",
                "x-a",
                "clientSecret",
                "X-Api-Key",
                "Cookie",
            ),
            *("email", "Basic_Auth", "token", "keypair", "kind", "%6bey", "se%63ret", "\u212aey"),
        ]
    ),
    st.text(string.ascii_letters + "-_%&=é", max_size=6),
)
PARTS = st.sampled_from(
    [
        *("Bearer ", "basic ", "otoapk_a", "-----BEGIN", TOKEN, "eyJ", "eyJhbGci.", "://", "u:p@"),
        *(
            "https://u@h/",
            "?",
            "a=b",
            "&",
            "=",
            "%42earer ",
            "%",
            "%zz",
            "%20",
            "/",
            " ",
            "é",
            "\x00",
        ),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=10),
    st.lists(st.one_of(PARTS, st.text(string.printable, max_size=3)), max_size=6).map("".join),
)
ACTIONS = st.sampled_from(["strip", "hash", "mask", "show"])
RULES = st.dictionaries(
    st.sampled_from(["x-a", "email", "token", "X-Api-Key", "kind", "key", "plain"]), ACTIONS
)
SETTINGS = st.fixed_dictionaries(
    {"headers": RULES, "query": RULES, "fields": RULES, "hash_key": st.text(max_size=5)}
)
DOCUMENTS = st.recursive(
    st.one_of(TEXTS, st.integers(-1000, 1000), st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


def both(settings: dict[str, Any]) -> tuple[_core.Redaction, Twin]:
    return _core.Redaction(msgspec.json.encode(settings)), Twin(settings)


@given(SETTINGS, NAMES, TEXTS)
def test_headers_and_texts_are_as_the_twins(
    settings: dict[str, Any], name: str, value: str
) -> None:
    native, twin = both(settings)
    assert native.header(name, value) == twin.header(name, value)
    assert native.text(value) == twin.text(value)


@given(SETTINGS, st.lists(st.tuples(NAMES, st.sampled_from(["", "="]), TEXTS), max_size=4))
def test_queries_are_as_the_twins(
    settings: dict[str, Any], parts: list[tuple[str, str, str]]
) -> None:
    native, twin = both(settings)
    query = "&".join(map("".join, parts))
    assert native.query(query) == twin.query(query)


@given(st.lists(TEXTS, max_size=4))
def test_paths_are_as_the_twins(segments: list[str]) -> None:
    native, twin = both({})
    path = "/" + "/".join(segments)
    assert native.path(path) == twin.path(path)
    assert not is_credential(native.path(path))


@given(SETTINGS, DOCUMENTS)
def test_documents_are_as_the_twins(settings: dict[str, Any], document: object) -> None:
    native, twin = both(settings)
    told = json.loads(native.json(msgspec.json.encode(document)))
    assert told == twin.json(document)


@given(st.sampled_from(WORDS), st.text(string.ascii_letters, max_size=4), DOCUMENTS)
def test_no_text_under_a_secret_name_is_told(word: str, around: str, other: object) -> None:
    native, _ = both({})
    name = around + word.upper() + around
    document = {"other": other, name: "planted-value", "list": [{name: ["planted-value"]}]}
    assert b"planted-value" not in native.json(msgspec.json.encode(document))
    assert native.header(name, "planted-value") == MASK
    assert "planted-value" not in native.query(f"a=1&{name}=planted-value")


def test_redaction_twice_is_redaction_once() -> None:
    native, _ = both({"fields": {"team": "mask"}})
    document = {"team": "a", "url": f"/x?token=1&q={TOKEN}", "headers": {"Cookie": "c"}}
    once = native.json(msgspec.json.encode(document))
    assert native.json(once) == once


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (b"{", "redaction"),
        (b'{"headers": {"a": "burn"}}', "burn"),
        (b'{"cookies": {}}', "cookies"),
        (b'{"query": {"Set-Cookie": "show"}}', "query.set-cookie"),
    ],
)
def test_bad_rules_are_refused_with_the_field(settings: bytes, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        _core.Redaction(settings)
    with pytest.raises(ValueError, match="no JSON"):
        _core.Redaction(b"{}").json(b"{")
