"""kill -9 of the supervisor while clients write: what was acknowledged is there after a restart.

Each writer has an entity of its own and writes its next version as soon as the last one was answered, so
at any moment several writes are under way. Every part of a document names its version, which shows a
document that was half applied.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import GUARD_S, Connection, admin, ask, bulk, eventually, route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

ROUTES: Final = "/apis/proxy.otoroshi.io/v1/routes"
ROUNDS: Final = (1, 7, 23, 40)
"""Acknowledged writes after which each round kills: early, and in the thick of it."""
BULK_LINES: Final = 20


class Writer:
    """Creates, replaces, patches and removes one route, again and again, until the gateway is gone.

    Attributes:
        acknowledged: The newest version that was answered; 0 when there is none.
        tried: The newest version that was sent.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.acknowledged = 0
        self.tried = 0
        self._url = url

    def document(self, version: int) -> dict[str, Any]:
        """The route in a version, which its name, its path, a header and its tags tell."""
        text = f"v{version}"
        plugin = "cp:otoroshi.next.plugins.AdditionalHeadersOut"
        return {
            **route(self.name, self._url),
            "name": text,
            "tags": [text] * 50,
            "frontend": {"domains": [f"{self.name}.test/{text}"]},
            "plugins": [{"plugin": plugin, "config": {"headers": {"X-Version": text}}}],
        }

    def version(self, document: dict[str, Any] | None) -> int:
        """Return the version of a stored document; its parts must agree."""
        if document is None:
            return 0
        told = {
            document["name"],
            *document["tags"],
            *(domain.rpartition("/")[2] for domain in document["frontend"]["domains"]),
            document["plugins"][0]["config"]["headers"]["X-Version"],
        }
        assert len(told) == 1, f"half of one version and half of another one: {told}"
        assert len(document["tags"]) == 50
        return int(told.pop()[1:])

    @staticmethod
    def is_removal(version: int) -> bool:
        """Whether a version is the one that there is no entity."""
        return version % 5 == 0

    async def write_next(self, api: httpx.AsyncClient) -> None:
        """Write the next version and note that it was acknowledged."""
        self.tried = version = self.acknowledged + 1
        if self.is_removal(version):
            answer = await api.delete(f"{ROUTES}/{self.name}")
        elif version % 2 or self.is_removal(version - 1):
            answer = await api.post(f"{ROUTES}/{self.name}", json=self.document(version))
        else:
            patch = [{"op": "replace", "path": "", "value": self.document(version)}]
            answer = await api.patch(f"{ROUTES}/{self.name}", json=patch)
        assert answer.status_code in {200, 201}, answer.text
        self.acknowledged = version

    def settle(self, document: dict[str, Any] | None) -> None:
        """Compare with what is stored after a crash; go on from there.

        The last write that was not answered may be there or not.
        """
        allowed = {
            0 if self.is_removal(version) else version
            for version in (self.acknowledged, self.tried)
        }
        found = self.version(document)
        assert found in allowed, f"{self.name}: {found} is stored, not one of {allowed}"
        if found == (0 if self.is_removal(self.tried) else self.tried):
            self.acknowledged = self.tried


class BulkWriter:
    """Creates many routes with its first request, and replaces all of them with each other one."""

    def __init__(self, url: str) -> None:
        self.writers = [Writer(f"bulk-{number}", url) for number in range(BULK_LINES)]
        self._version = 0

    async def write_next(self, api: httpx.AsyncClient) -> None:
        """Write the next version of all."""
        verb = "PUT" if self._version else "POST"
        self._version += 1
        if Writer.is_removal(self._version):
            self._version += 1
        for writer in self.writers:
            writer.tried = self._version
        documents = [writer.document(self._version) for writer in self.writers]
        outcomes = await bulk(api, verb, documents)
        assert {outcome["status"] for outcome in outcomes} <= {200, 201}, outcomes
        for writer in self.writers:
            writer.acknowledged = self._version


async def test_every_acknowledged_write_survives_kill_9_of_the_supervisor(
    upstream: Upstream, tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    singles = [Writer(f"single-{number}", upstream.url) for number in range(6)]
    many = BulkWriter(upstream.url)
    everyone = [*singles, *many.writers]
    in_flight = 0
    async with gateway_process("--workers", "2", data=tmp_path) as gateway:
        auth = gateway.auth  # shown at the first start only
        async with admin(gateway) as api:
            await many.write_next(api)
    for writes in ROUNDS:
        async with gateway_process("--workers", "2", data=tmp_path) as gateway:
            async with admin(gateway, auth) as api:
                await compare(api, everyone)
                workers = gateway.workers()
                counter = Countdown(writes)
                async with trio.open_nursery() as nursery:
                    for writer in singles:
                        nursery.start_soon(write_until_gone, writer.write_next, api, counter)
                    nursery.start_soon(write_until_gone, many.write_next, api, counter)
                    with trio.fail_after(GUARD_S):
                        await counter.zero.wait()
                    gateway.signal(signal.SIGKILL)
                in_flight += sum(writer.tried > writer.acknowledged for writer in everyone)
            assert await gateway.wait() == -signal.SIGKILL
            await eventually(partial(are_gone, workers))
        assert integrity(tmp_path) == "ok"
    async with gateway_process("--workers", "2", data=tmp_path) as gateway:
        async with admin(gateway, auth) as api:
            await compare(api, everyone)
        # What is stored is what is served.
        for writer in everyone:
            version = writer.acknowledged
            answer = await ask(gateway.port, f"{writer.name}.test", f"/v{version}")
            if writer.is_removal(version):
                assert answer.status == 404
            else:
                assert (answer.status, answer.version) == (200, f"v{version}")
    record_testsuite_property("writes in flight at the kills", in_flight)
    assert in_flight, "no round killed while a write was under way"
    assert all(writer.acknowledged for writer in everyone)


class Countdown:
    """Tells when so many writes were acknowledged."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.zero = trio.Event()

    def count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.zero.set()


async def write_until_gone(
    write_next: Callable[[httpx.AsyncClient], Awaitable[None]],
    api: httpx.AsyncClient,
    counter: Countdown,
) -> None:
    """Write without a pause until the gateway is killed; before that, no write may fail."""
    while True:
        try:
            await write_next(api)
        except httpx.TransportError:
            if not counter.zero.is_set():
                raise
            return
        counter.count()


async def compare(api: httpx.AsyncClient, writers: Iterable[Writer]) -> None:
    """Compare everything that is stored with what the writers know."""
    answer = await api.get(ROUTES)
    assert answer.status_code == 200, answer.text
    stored = {document["id"]: document for document in answer.json()}
    for writer in writers:
        writer.settle(stored.pop(writer.name, None))
    assert stored == {}, "nobody wrote these"


def integrity(data: Path) -> str:
    """What SQLite says of the file that the crash left."""
    with closing(sqlite3.connect(data / "store.sqlite3")) as database:
        verdict: str = database.execute("PRAGMA integrity_check").fetchone()[0]
    return verdict


async def are_gone(pids: Iterable[int]) -> bool:
    """Whether none of these processes exists, not even as a zombie of somebody."""
    return not any(is_alive(pid) for pid in pids)


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def test_workers_that_are_busy_end_soon_after_their_supervisor(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.gate = trio.Event()  # never set: nothing is ever answered
    arguments = ["--workers", "2", "--route", f"a.test={upstream.url}"]
    async with gateway_process(*arguments, data=tmp_path) as gateway:
        workers = gateway.workers()
        clients = [await Connection.open(gateway.port) for _ in range(8)]
        for client in clients:
            await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        await upstream.arrived.wait()
        began = trio.current_time()
        os.kill(gateway.pid, signal.SIGKILL)
        await gateway.wait()
        with trio.fail_after(GUARD_S):
            assert all([await client.is_closed() for client in clients])
        await eventually(partial(are_gone, workers))
        # Their last drain has a deadline of three seconds, whatever they wait for.
        assert trio.current_time() - began < 6
        with pytest.raises(OSError, match="all attempts to connect"):
            await Connection.open(gateway.port)
        for client in clients:
            await client.aclose()
    # The ports are free again for the next one.
    upstream.gate = None
    arguments += ["--http-port", str(gateway.port)]
    async with gateway_process(*arguments, data=tmp_path) as successor:
        assert (await ask(successor.port, "a.test")).status == 200
