"""A gateway whose standard error, or standard output, nobody reads."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import GUARD_S, Connection, ask, eventually, route
from tests.integration.events import events_in, exporter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

CHATTER = '''\
"""Logs long lines for each request."""
import itertools
import logging
from oto_trio.plugin_api import Config, Exchange, Plugin

NUMBERS = itertools.count()


class Chatter(Plugin[Config]):
    """Chatter."""
    id = "cp:test.Chatter"
    name = "Chatter"
    description = "Logs long lines for each request."
    categories = ("Other",)

    def transform_request(self, exchange: Exchange) -> None:
        for _ in range(5):
            logging.getLogger("chatter").warning("planted %d %s", next(NUMBERS), "x" * 3_500)
'''

REQUESTS = 400
LINES = 5 * REQUESTS
"""More than the log keeps. Each is shorter than what a full pipe takes in one piece: no other process's comes within it."""


class Pipe:
    """A pipe, and what was read of it.

    Args:
        reads: The end that the test reads.
        writes: The end that is the gateway's standard error.
    """

    def __init__(self, reads: trio.lowlevel.FdStream, writes: int) -> None:
        self.writes = writes
        self.lines: list[dict[str, Any]] = []
        self._reads = reads
        self._held = b""

    def fill(self) -> None:
        """Leave no room in it."""
        fill(f"/proc/self/fd/{self.writes}")

    async def read_until(self, words: str) -> dict[str, Any]:
        """Read until a line comes that a pattern is found in, and return it."""
        with trio.fail_after(GUARD_S):
            while True:
                while b"\n" in self._held:
                    line, _, self._held = self._held.partition(b"\n")
                    if not line.strip(b"."):
                        continue
                    self.lines.append(json.loads(line.lstrip(b".")))
                    if re.search(words, self.lines[-1]["message"]):
                        return self.lines[-1]
                self._held += await self._reads.receive_some()


def fill(end_of_pipe: str) -> None:
    """Leave no room in a pipe."""
    # An end of its own, so that the gateway's still blocks.
    end = os.open(end_of_pipe, os.O_WRONLY | os.O_NONBLOCK)
    try:
        for piece in (b"." * 4096, b"\n"):
            try:
                while True:
                    os.write(end, piece)
            except BlockingIOError:
                pass
    finally:
        os.close(end)


@asynccontextmanager
async def pipe() -> AsyncGenerator[Pipe]:
    reads, writes = os.pipe()
    async with trio.lowlevel.FdStream(reads) as stream:
        try:
            yield Pipe(stream, writes)
        finally:
            os.close(writes)


async def test_who_does_not_read_the_log_stops_nothing_and_is_told_what_he_missed(
    upstream: Upstream, tmp_path: Path
) -> None:
    plugins = tmp_path / "data" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "chatter.py").write_text(CHATTER)
    config = tmp_path / "gateway.json"
    chatty = route("chatty", upstream.url, plugins=[{"plugin": "cp:test.Chatter"}])
    config.write_text(json.dumps({"routes": [chatty]}))
    words = ("--workers", "1", "--config", str(config))
    async with (
        pipe() as log,
        gateway_process(*words, data=tmp_path / "data", log=log.writes) as gateway,
    ):
        workers = gateway.workers()
        log.fill()
        with trio.fail_after(10 * GUARD_S):
            async with await Connection.open(gateway.port) as connection:
                for _ in range(REQUESTS):
                    assert (await connection.ask("chatty.test", "/")).status == 200
        dropped = 0

        async def is_counted() -> bool:
            nonlocal dropped
            answer = await api.get("/metrics?filter=otoroshi.log.*&format=prometheus")
            found = re.search(r"^otoroshi_log_lines_dropped (\d+)", answer.text, re.MULTILINE)
            assert found is not None, answer.text
            dropped = int(found[1])
            return dropped > 0

        async with httpx.AsyncClient(base_url=gateway.admin, auth=gateway.auth) as api:
            # A worker that does not answer within a second is left out.
            await eventually(is_counted)
        assert dropped < LINES
        told = await log.read_until("lines of the log are lost")
        assert (told["level"], told["from"]) == ("warning", "worker 0")
        lost = int(told["message"].split()[0])
        assert lost >= dropped
        planted = [it["message"] for it in log.lines if it["logger"] == "chatter"]
        assert [it.split()[1] for it in planted] == [str(it) for it in range(len(planted))]
        assert len(planted) + lost >= LINES, "other lines may be among those that are lost"
        # From here on it is as it was before.
        assert (await ask(gateway.port, "chatty.test")).status == 200
        await log.read_until(f"planted {LINES} ")
        assert gateway.workers() == workers
        # Neither does it keep the gateway from its end.
        log.fill()
        assert (await ask(gateway.port, "chatty.test")).status == 200
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait() == 0


async def test_who_does_not_read_standard_output_keeps_no_gateway_from_ending(
    upstream: Upstream, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.json"
    seen = tmp_path / "seen.log"
    exporters = [
        {"id": "console", "name": "console", "enabled": True, "type": "console"},
        exporter("file", config={"path": str(seen)}),
    ]
    routes = [route("api", upstream.url)]
    config.write_text(json.dumps({"routes": routes, "data-exporters": exporters}))
    words = ("--workers", "1", "--access-log", "-", "--config", str(config))
    async with gateway_process(*words, data=tmp_path / "data") as gateway:
        fill(f"/proc/{gateway.pid}/fd/1")

        async def is_exported() -> bool:
            assert (await ask(gateway.port, "api.test")).status == 200
            return bool(events_in(seen))

        # Events are told from when the worker heard that exporters want them.
        await eventually(is_exported)
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait() == 0

        async def is_told() -> bool:
            told = [line["message"] for line in gateway.log]
            wanted = ("of the access log - are lost", "exporter console ends with")
            return all(any(words in message for message in told) for words in wanted)

        await eventually(is_told)
