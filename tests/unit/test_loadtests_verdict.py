"""When a load test is good, and what it says when it is not."""

from types import SimpleNamespace

import pytest

from loadtests.expecting import Expected
from loadtests.upstream import answer
from loadtests.verdict import Row, Verdict, exit_code, table

GOOD = Row("page", 10, 0, 1.0, 2.0)


def test_a_run_without_surprises_is_good() -> None:
    verdict = Verdict("browse", 2.0, [GOOD], wanted=["page"])
    assert verdict.faults == []
    assert verdict.requests_per_s == 5.0
    assert exit_code([verdict]) == 0
    assert "browse: 5 requests/s, nothing unexpected" in table([verdict])


@pytest.mark.parametrize(
    ("verdict", "fault"),
    [
        (
            Verdict("browse", 2.0, [Row("page", 10, 2, 1.0, 2.0)], {"page: 502": 2}),
            "page: 502 (2 times)",
        ),
        (
            Verdict("browse", 2.0, [GOOD], {"a user broke down: x": 1}),
            "a user broke down: x (1 times)",
        ),
        (
            Verdict("browse", 2.0, [Row("page", 10, 2, 1.0, 2.0)]),
            "2 requests failed without a reason",
        ),
        (Verdict("browse", 2.0, [GOOD], wanted=["form"]), "no request named 'form' was made"),
        (Verdict("browse", 0.0, []), "no request was made at all"),
    ],
)
def test_one_surprise_fails_the_whole_and_is_named(verdict: Verdict, fault: str) -> None:
    assert verdict.faults == [fault]
    good = Verdict("burst", 2.0, [GOOD])
    assert exit_code([good, verdict]) == 1
    shown = table([good, verdict]).splitlines()
    assert shown[-1].strip() == fault
    assert shown[-2].endswith("1 thing unexpected:")


def test_nothing_that_ran_is_not_good() -> None:
    assert exit_code([]) == 1


def test_the_table_has_each_request_with_its_numbers() -> None:
    shown = table(
        [Verdict("browse", 2.0, [Row("b", 1, 0, 1.25, 2.0), Row("a", 1234, 5, 3.0, 4.0)])]
    )
    rows = [line.split() for line in shown.splitlines()[1:3]]
    assert rows == [
        ["browse", "a", "1234", "5", "3.0", "4.0"],
        ["browse", "b", "1", "0", "1.2", "2.0"],
    ]


@pytest.mark.parametrize(
    ("expected", "fault"),
    [
        (Expected(), None),
        (Expected(body=b"hello", version="1"), None),
        (Expected(404), "404 was expected, but it is 200"),
        (Expected(body=b"other"), "5 bytes were expected, but it is b'hello'"),
        (Expected(version="2"), "version 2 was expected, but it is 1"),
    ],
)
def test_an_answer_that_is_not_what_was_expected_is_a_fault(
    expected: Expected, fault: str | None
) -> None:
    given = SimpleNamespace(
        status_code=200, content=b"hello", headers={"X-Version": "1"}, error=None
    )
    found = expected.fault(given)
    assert found == fault if fault is None else found is not None and found.startswith(fault)


def test_an_answer_that_never_came_is_a_fault_with_its_reason() -> None:
    lost = SimpleNamespace(status_code=0, content=None, headers=None, error=OSError("reset"))
    assert Expected().fault(lost) == "200 was expected, but it is 0: OSError('reset')"


@pytest.mark.parametrize(
    ("target", "received", "told"),
    [
        ("/bytes/3", 0, (200, b"xxx")),
        ("/bytes/none", 0, (404, b"no such page")),
        ("/form", 12, (200, b"12")),
        ("/a/b", 0, (200, b"/a/b")),
        ("/", 0, (200, b"/")),
    ],
)
def test_the_backend_answers_what_the_scenarios_rely_on(
    target: str, received: int, told: tuple[int, bytes]
) -> None:
    assert answer(target, received) == told
