"""Ids: how new ones look and which ones a client may choose."""

from __future__ import annotations

import re

import pytest

from oto_trio.model.ids import MAX_ID_BYTES, id_problem, named_id, new_uuid

SHAPE = re.compile(r"[0-9a-f]{9}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_a_new_uuid_has_otoroshis_shape() -> None:
    made = {new_uuid() for _ in range(200)}
    assert len(made) == 200
    for one in made:
        assert len(one) == 37
        assert SHAPE.fullmatch(one)


def test_the_environment_is_part_of_the_id_outside_production() -> None:
    assert SHAPE.fullmatch(named_id("route").removeprefix("route_"))
    assert SHAPE.fullmatch(named_id("route", env="dev").removeprefix("route_dev_"))


@pytest.mark.parametrize("good", ["a", "route_1", "é", "a b", "a/b", "cp:x.Y", "x" * MAX_ID_BYTES])
def test_visible_ids_are_taken_as_they_are(good: str) -> None:
    assert id_problem(good) is None


@pytest.mark.parametrize(
    "bad", ["", " a", "a ", "a\nb", "\x00", "\u202e", "\ud800", "x" * (MAX_ID_BYTES + 1), "é" * 300]
)
def test_other_ids_are_refused_with_a_fix(bad: str) -> None:
    problem = id_problem(bad)
    assert problem is not None
    assert all(problem)
