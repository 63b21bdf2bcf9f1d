"""Texts that are kept compressed come back as they were, whatever they are."""

import gc
import tracemalloc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.gateway.compact_texts import (
    DICTIONARY_BYTES,
    MAX_DICTIONARIES,
    SHELVES,
    CompactTexts,
)
from oto_trio.model.document import encode_document
from oto_trio.model.route import route_template

edits = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.none() | st.binary() | st.just(bytes(range(251)) * 40)),
    max_size=30,
)


@given(edits)
def test_it_is_a_dict_of_texts(changes: list[tuple[str, bytes | None]]) -> None:
    texts, twin = CompactTexts(), dict[str, bytes]()
    for text_id, text in changes:
        if text is None:
            assert texts.remove(text_id) is (twin.pop(text_id, None) is not None)
        else:
            texts[text_id] = twin[text_id] = text
    assert dict(texts.items()) == twin
    assert sorted(texts) == sorted(twin)
    assert len(texts) == len(twin)
    assert all((text_id in texts) is (text_id in twin) for text_id in "abcdefg")


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        CompactTexts()["a"]


def test_a_text_like_the_others_takes_little() -> None:
    texts = CompactTexts()
    routes = [
        encode_document(route_template(domain=f"service{number}.oto.tools"))
        for number in range(1000)
    ]
    for number, route in enumerate(routes):
        texts[f"route_{number}"] = route
    assert texts.kept_bytes < 0.15 * sum(map(len, routes))
    assert texts["route_500"] == routes[500]


def test_a_hundred_thousand_take_less_than_their_ids_would() -> None:
    texts = CompactTexts()
    routes = [
        encode_document(route_template(domain=f"service{number}.oto.tools")) for number in range(50)
    ]
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(30_000):
            texts[f"route_{number:024}"] = routes[number % len(routes)]
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Objects for the ids alone, and places for them in a dict, would be 130 octets each.
    assert taken < 30_000 * 120


@pytest.mark.parametrize("text_id", ["", "caf\u00e9", "\ud800", "x" * 70_000, "a\0b"])
def test_an_id_may_be_any_text(text_id: str) -> None:
    texts = CompactTexts()
    texts[text_id] = b"one"
    texts[text_id] = b"another"
    assert dict(texts.items()) == {text_id: b"another"}
    assert text_id in texts
    assert texts.remove(text_id)
    assert not texts.remove(text_id)
    assert list(texts) == []


def test_texts_that_share_a_shelf_are_told_apart() -> None:
    texts, twin = CompactTexts(), dict[str, bytes]()
    for number in range(3 * SHELVES):
        texts[str(number)] = twin[str(number)] = b"%d" % (number * number)
    for number in range(0, 3 * SHELVES, 7):
        assert texts.remove(str(number))
        del twin[str(number)]
        texts[str(number + 1)] = twin[str(number + 1)] = b"a longer text than it was %d" % number
    assert len(texts) == len(twin)
    assert dict(texts.items()) == twin
    assert all(texts[text_id] == text for text_id, text in twin.items())


def test_texts_of_two_makes_in_turn_both_take_little() -> None:
    texts, size = CompactTexts(), 0
    for number in range(2000):
        half = b"routes of one make" if number % 2 else b"entities of another style altogether"
        texts[str(number)] = text = b"%d %b %d" % (number, half * 20, number)
        size += len(text)
    assert texts.kept_bytes < 0.15 * size


def test_texts_that_resemble_nothing_do_not_fill_the_memory_with_dictionaries() -> None:
    texts, noise = CompactTexts(), Random(7)
    made = [noise.randbytes(300) for _ in range(1500)]
    for number, text in enumerate(made):
        texts[str(number)] = text
    most = MAX_DICTIONARIES * DICTIONARY_BYTES + 1500 * 320
    assert 1500 * 300 < texts.kept_bytes < most
    assert dict(texts.items()) == {str(number): text for number, text in enumerate(made)}
