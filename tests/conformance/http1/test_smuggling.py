"""No byte sequence makes gateway and backend see different requests.

The tables are in `corpus`: each case says what must come of its bytes. Every case is tried as the
first thing on a connection, behind a good request, and byte by byte.
"""

from collections.abc import Iterable

import pytest

from tests.conformance.http1.conversation import Outcome, Stage, byte_by_byte, staged
from tests.conformance.http1.corpus.case import Case
from tests.conformance.http1.corpus.framing import FRAMING
from tests.conformance.http1.corpus.heads import HEADS
from tests.conformance.http1.corpus.targets import TARGETS
from tests.conformance.http1.messages import requests_in

CASES = [*FRAMING, *HEADS, *TARGETS]
GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"

cases = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def test_no_case_stands_twice_and_there_are_enough() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.sent for case in CASES}) == len(CASES)
    assert sum(case.status != 200 for case in CASES) >= 100


@cases
async def test_a_message_ends_where_the_gateway_says(case: Case) -> None:
    async with staged() as stage:
        outcome = await play(stage, case, [case.sent])
        check(case, outcome, before=[], upstream_before=b"")


@cases
async def test_a_good_request_before_changes_nothing(case: Case) -> None:
    async with staged() as stage:
        outcome = await play(stage, case, [GOOD + case.sent])
        check(case, outcome, before=[200], upstream_before=GOOD)


@pytest.mark.parametrize(
    "case", [case for case in CASES if len(case.sent) < 2000], ids=lambda case: case.name
)
async def test_bytes_that_come_one_by_one_change_nothing(case: Case) -> None:
    async with staged() as stage:
        outcome = await play(stage, case, byte_by_byte(case.sent))
        check(case, outcome, before=[], upstream_before=b"", chunked_alike=False)


async def play(stage: Stage, case: Case, pieces: Iterable[bytes]) -> Outcome:
    """Send a case. After a refusal the gateway must close; else the client does."""
    return await stage.converse(pieces, finishes=case.status == 200)


def check(
    case: Case,
    outcome: Outcome,
    *,
    before: list[int],
    upstream_before: bytes,
    chunked_alike: bool = True,
) -> None:
    """Hold an outcome against the table; chunks may be cut anew where bytes come one by one."""
    assert outcome.faults == []
    assert outcome.statuses[: len(before)] == before
    after = [status for status in outcome.statuses[len(before) :] if status != 100]
    if case.status == 200:
        wanted = upstream_before + (case.upstream or b"")
        assert set(after) == {200}
        assert outcome.requests == requests_in(wanted)[0]
        assert outcome.raw == wanted or not chunked_alike
        return
    assert after == [case.status]
    assert b"\r\nConnection: close\r\n" in outcome.reply
    assert len(outcome.requests) == len(before)
    if case.upstream is not None:
        assert outcome.raw == upstream_before
    assert all(connection.is_over for connection in outcome.connections if case.upstream is None)
