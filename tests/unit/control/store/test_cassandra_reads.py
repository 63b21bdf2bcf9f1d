"""What a Cassandra store does with the answers of servers; no server is needed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import trio
import trio.testing

from oto_trio.control.store.cassandra import CassandraStore
from oto_trio.control.store.cassandra_log import News
from oto_trio.control.store.cassandra_state import Altered, LogRow, Replica
from oto_trio.control.store.history import DEFAULT_BOUNDS
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.control.store.cassandra_link import CassandraLink, Talk


class Link:
    """Answers what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = trio.Event()
        self.answers: list[object] = []

    async def run(self, work: Callable[[Talk], Any]) -> Any:
        del work
        self.asked += 1
        await self.may_answer.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def made(link: object) -> CassandraStore:
    return CassandraStore(cast("CassandraLink", link), "it/0", Replica(), DEFAULT_BOUNDS)


def news(revision: int, text: bytes) -> News:
    row = LogRow(revision, revision, 0, 1, "x", 0.0, "", "", "", 1, 1, revision)
    return News(1, [row], [[Altered("routes", "a", None, text)]])


async def test_a_reader_that_waited_for_another_ones_question_does_not_take_its_failure_for_an_answer() -> (
    None
):
    link = Link()
    store = made(link)
    link.answers = [News(1, [], []), StoreError("no quorum"), news(1, b"1")]
    found: list[object] = []

    async def read() -> None:
        try:
            record = await store.get("routes", "a")
        except StoreError as error:
            found.append(str(error))
        else:
            found.append(None if record is None else record.document)

    async with trio.open_nursery() as nursery:
        for _ in range(3):  # the second and the third come while the first asks
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
        assert link.asked == 1
        link.may_answer.set()
    assert found == [None, "no quorum", b"1"]


async def test_readers_that_come_together_share_a_question() -> None:
    link = Link()
    store = made(link)
    link.answers = [News(1, [], []), News(1, [], [])]
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(store.get, "routes", "a")
            await trio.testing.wait_all_tasks_blocked()
        link.may_answer.set()
    assert link.asked == 2
