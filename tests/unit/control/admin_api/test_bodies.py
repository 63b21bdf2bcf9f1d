"""Bodies: what is decoded, and how what cannot be decoded is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.control.admin_api.bodies import MAX_DEPTH, decode_json, decode_yaml, read_entity
from oto_trio.control.admin_api.refusals import ApiError


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b'{"a":1,\n  "b": nul}', "line 2, column 12"),
        (b'{"a":', "at the end of the 5 bytes"),
        (b"\xff", "line 1, column 1"),
        (b"[" * 100_000, "nested deeper"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "nested deeper"),
    ],
)
def test_what_is_no_json_is_refused_with_the_place(text: bytes, reason: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_json(text)
    assert caught.value.answer_status == 400
    assert reason in str(caught.value)


def test_deep_but_not_too_deep_and_wide_but_not_deep_are_fine() -> None:
    decode_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert len(decode_json(b"[" + b"{}," * 10_000 + b"{}]")) == 10_001


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a: [", "line 2, column 1"),
        (b"a: &x 1\nb: *x", "aliases are not accepted"),
        (b"[" * 100_000, "nested deeper"),
        (b"a: 1\n---\nb: 2", "another document"),
        (b"a: !!python/object:os.system x", "could not determine a constructor"),
        (b"? [a]\n: b", "unhashable key"),
        (b"a: !!bool x", "error while parsing yaml"),
        (b"a: !!timestamp x", "error while parsing yaml"),
        (b"\x00", "control characters"),
        (b"a: !!int x", "error while parsing yaml"),
    ],
)
def test_what_is_no_yaml_is_refused_with_the_place(text: bytes, reason: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_yaml(text)
    assert caught.value.answer_status == 400
    assert reason in str(caught.value)


def test_yaml_gives_json_values_only() -> None:
    value = decode_yaml(b"day: 2024-05-01\nport: 8080\n3: x\nnull_: ~\nf: 1.5")
    assert value["day"] == "2024-05-01"
    assert value["port"] == 8080
    assert value["3"] == "x"
    assert value["null_"] is None


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(text: bytes) -> None:
    for decode in (decode_json, decode_yaml):
        with suppress(ApiError):
            decode(text)


def test_json_is_yaml() -> None:
    assert decode_yaml(b'{"a": [1, "\\u00e9"]}') == {"a": [1, "é"]}


def test_a_kubernetes_envelope_is_taken_off() -> None:
    text = b"apiVersion: proxy.otoroshi.io/v1\nkind: Route\nmetadata: {name: outer}\nspec: {id: r}"
    assert read_entity("application/yaml", text, {}) == {"id": "r", "name": "outer"}
    text = b"apiVersion: v1\nkind: Route\nspec: {id: r, name: inner}"
    assert read_entity("application/yaml", text, {}) == {"id": "r", "name": "inner"}
    text = b"apiVersion: v1\nkind: Route\nspec: {id: r}"
    assert read_entity("application/yaml", text, {}) == {"id": "r", "name": "no name"}


def test_patch_forms_go_onto_a_base() -> None:
    base = {"name": "base", "enabled": True}
    patch = b'[{"path":"name","value":"n"},{"path":"a.b","value":"1"}]'
    expected = {"name": "n", "enabled": True, "a": {"b": 1}}
    assert read_entity("application/json+oto-patch", patch, base) == expected
    form = b"name=n&a.b=1"
    assert read_entity("application/x-www-form-urlencoded", form, base) == expected
    assert base == {"name": "base", "enabled": True}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("", b"{}"),
        ("text/plain", b"{}"),
        ("application/json", b"[]"),
        ("application/json", b"3"),
        ("application/yaml", b"just text"),
        ("application/json+oto-patch", b"{}"),
        ("application/x-www-form-urlencoded", b"\xff=1"),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(1001))),
    ],
)
def test_other_bodies_are_refused(kind: str, text: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        read_entity(kind, text, {})
    assert caught.value.answer_status == 400
