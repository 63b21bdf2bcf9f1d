"""Projections whose blueprints have jq filters."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from oto_trio import jq
from tests.unit.jq.patience import patient


async def test_each_filter_has_its_own_document_and_they_run_in_order() -> None:
    asked: list[tuple[str, bytes]] = []

    async def run(text: str, document: bytes) -> list[bytes]:
        asked.append((text, document))
        await trio.lowlevel.checkpoint()
        return [text.encode(), b"9"]

    blueprint = {
        "a": {"$jq": "1"},
        "deep": {"b": {"$jq": "2"}, "kept": True},
        "c": {"$compose": {"x": [{"$jq": "3"}]}},
        "gone": {"$remove": True},
    }
    source: dict[str, Any] = {"deep": {"kept": 0}, "s": 1}
    assert await jq.projected(source, blueprint, run) == {
        "a": 1,
        "deep": {"b": 2, "kept": 0},
        "c": {"x": [3]},
    }
    whole = b'{"deep":{"kept":0},"s":1}'
    assert asked == [("1", whole), ("2", b'{"kept":0}'), ("3", whole)]


async def test_without_filters_nothing_is_run() -> None:
    async def run(text: str, document: bytes) -> list[bytes]:
        raise AssertionError((text, document))

    assert await jq.projected({"a": 1}, {"a": "b"}, run) == {"b": 1}


async def test_faults_are_told_of_or_raised() -> None:
    told: list[str] = []
    blueprint = {"a": {"$jq": ".x.y"}, "b": {"$jq": ".x"}}
    deep = {"a": {"$jq": "reduce range(5000) as $i (1; [.])"}}
    async with jq.serving(patient()) as running:
        shown = await jq.projected(
            {"x": 1}, blueprint, running.run, lambda error: told.append(error.message)
        )
        assert shown == {"a": None, "b": 1}
        with pytest.raises(jq.JqError, match="Cannot index number"):
            await jq.projected({"x": 1}, blueprint, running.run)
        with pytest.raises(jq.JqError, match="nested too deeply"):
            await jq.projected({}, deep, running.run)
    assert told == ['Cannot index number with string ("y")']


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000])
async def test_a_number_that_nobody_can_hold_is_a_fault_of_the_filter(number: str) -> None:
    told: list[str] = []
    blueprint = {"a": {"$jq": ".x | tonumber"}, "b": {"$jq": "[.x | tonumber]"}, "c": {"$jq": "1"}}
    async with jq.serving(patient()) as running:
        shown = await jq.projected(
            {"x": number}, blueprint, running.run, lambda error: told.append(error.message)
        )
    assert shown == {"a": None, "b": None, "c": 1}
    assert told == ["what the filter made has a number that is out of range"] * 2
