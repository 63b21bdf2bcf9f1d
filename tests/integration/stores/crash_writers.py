"""Writers for tests that kill a gateway while it writes: each knows what was acknowledged, and judges what is stored.

Each writer has an entity of its own and writes its next version as soon as the last one was answered, so at any
moment several writes are under way. Every part of a document names its version, which shows a document that was half
applied.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import trio

from tests.integration.clients import bulk, route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = [
    "ROUTES",
    "BulkWriter",
    "Countdown",
    "ImportWriter",
    "Writer",
    "are_gone",
    "compare",
    "write_until_gone",
]

ROUTES: Final = "/apis/proxy.otoroshi.io/v1/routes"
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


class ImportWriter:
    """Imports the whole configuration, with its own routes in their next version: one transaction each time.

    Nobody else may write meanwhile.
    """

    def __init__(self, url: str) -> None:
        self.writers = [Writer(f"import-{number}", url) for number in range(BULK_LINES)]
        self._version = 0
        self._rest: dict[str, Any] | None = None

    def begin(self) -> None:
        """Forget what others had written, before they are silent."""
        self._rest = None

    async def write_next(self, api: httpx.AsyncClient) -> None:
        """Write the next version of all."""
        if self._rest is None:
            self._rest = (await api.get("/api/otoroshi.json")).raise_for_status().json()
        names = {writer.name for writer in self.writers}
        others = [entity for entity in self._rest["routes"] if entity["id"] not in names]
        self._version += 1
        for writer in self.writers:
            writer.tried = self._version
        mine = [
            writer.document(self._version)
            for writer in self.writers
            if not writer.is_removal(self._version)
        ]
        answer = await api.post("/api/otoroshi.json", json={**self._rest, "routes": others + mine})
        assert answer.status_code == 200, answer.text
        for writer in self.writers:
            writer.acknowledged = self._version

    def settle(self) -> None:
        """After each writer was settled: all of them must be at one version, for they are one transaction."""
        versions = {0 if w.is_removal(w.acknowledged) else w.acknowledged for w in self.writers}
        assert len(versions) == 1, f"a transaction is half there: {versions}"


class Countdown:
    """Tells when so many writes were acknowledged, with one of each writer among them, and how many were."""

    def __init__(self, count: int, writers: Iterable[Writer]) -> None:
        self._left = count
        self._writers = tuple(writers)
        self.counted = 0
        self.zero = trio.Event()

    def count(self) -> None:
        self.counted += 1
        self._left -= 1
        if self._left <= 0 and all(writer.acknowledged for writer in self._writers):
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
    stored.pop("admin-api-service", None)  # a gateway has that one of its own
    assert stored == {}, "nobody wrote these"


async def are_gone(pids: Iterable[int]) -> bool:
    """Whether none of these processes exists, not even as a zombie of somebody."""
    return not any(is_alive(pid) for pid in pids)


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
