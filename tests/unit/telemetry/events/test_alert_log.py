"""Alerts in the log: each name seldom, and nothing forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from oto_trio.telemetry.events.alert_log import PAUSE_S, AlertLog

if TYPE_CHECKING:
    import pytest


def alert(name: str, **facts: Any) -> dict[str, Any]:
    return {"@id": "1", "@type": "AlertEvent", "@serviceId": "r", "alert": name, **facts}


async def test_a_name_is_told_once_in_a_while_with_what_went_untold(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    log = AlertLog()
    for n in range(5):
        log.note(alert("RequestRefusedAlert", uri=f"/{n}"))
    log.note(alert("QuotasExceeded"))
    await trio.sleep(PAUSE_S)
    log.note(alert("RequestRefusedAlert", uri="/late\nforged line"))
    first, other, last = [record.getMessage() for record in caplog.records]
    assert first.startswith("RequestRefusedAlert: ")
    assert '"@serviceId":"r"' in first
    assert '"uri":"/0"' in first
    assert other.startswith("QuotasExceeded: ")
    assert last.endswith("(4 more since the line before)")
    assert "\n" not in last, "what clients send cannot forge a line"


async def test_made_up_names_take_no_memory(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    log = AlertLog()
    for n in range(1000):
        log.note(alert(f"Name{n}", filler="x" * 10_000))
    assert len(caplog.records) == 65, "64 names, and one line for all the others"
    assert all(len(record.getMessage()) < 3000 for record in caplog.records)
