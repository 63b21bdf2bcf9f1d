"""The access log of listeners, in the log of a worker."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio
import trio.testing

from oto_trio.gateway.access_log import ACCESS_LOGGER, write_access_log

if TYPE_CHECKING:
    import pytest


class Engine:
    """Gives what the test says, once."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, int]] = []

    def take_access_lines(self) -> tuple[bytes, int]:
        return self.told.pop(0) if self.told else (b"", 0)


async def test_lines_and_losses_are_told_also_those_that_came_at_the_end(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    del autojump_clock
    caplog.set_level(logging.INFO, ACCESS_LOGGER)
    engine = Engine()
    engine.told = [(b"one\ntwo\n", 0), (b"", 3)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_access_log, engine)
        while engine.told:  # noqa: ASYNC110 (each look is some time after the other)
            await trio.sleep(1)
        engine.told = [(b"last\n", 0)]
        nursery.cancel_scope.cancel()
    shown = [record.getMessage() for record in caplog.records]
    lost = "3 lines of the access log are lost: they came too fast"
    assert shown == ["one", "two", lost, "last"]
