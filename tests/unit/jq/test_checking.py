"""Filters that are looked at when a config is read."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
import trio.testing

from oto_trio import jq
from oto_trio.jq import checking

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Generator


GUARD_S = 30.0


def no_command(memory_bytes: int) -> list[str]:
    """Stand for the command of a process that cannot be started."""
    del memory_bytes
    return ["false"]


def missing_command(memory_bytes: int) -> list[str]:
    """Stand for the command of a program that is not there."""
    del memory_bytes
    return ["/nowhere/at/all"]


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> Generator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    """Forget what is known of filters."""
    vars(checking)["_fault"].cache_clear()
    vars(checking)["_OVER"].clear()


def checker_pid() -> int:
    """Return the number of the process that compiles."""
    checker: Any = vars(checking)["_CHECKER"]
    running = cast("subprocess.Popen[bytes]", vars(checker)["_process"])
    return running.pid


@pytest.mark.parametrize(
    ("text", "names", "fault"),
    [
        (".a | $context", ("context",), None),
        ("$context", (), "$context is not defined at line 1, column 1"),
        ("(", (), "syntax error, unexpected end of file at line 1, column 1"),
        ('import "m" as m; .', (), "import, include and module are not available here"),
        ("\0", (), "the filter holds a NUL"),
        ("." * 20_000, (), "the filter is longer than 16384 bytes"),
        ('"a" * 1000000000', (), "the filter needs more memory than it may have"),
        ("def f: f; f", (), None),  # it is not run
        ('error("no")', (), None),
    ],
)
def test_what_is_wrong_with_a_filter(text: str, names: tuple[str, ...], fault: str | None) -> None:
    for _ in range(2):  # also when it is remembered
        assert jq.check(text, *names) == fault


def test_one_process_compiles_for_all_and_is_replaced_when_it_is_gone() -> None:
    assert jq.check("1") is None
    pid = checker_pid()
    assert jq.check("2") is None
    assert checker_pid() == pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert jq.check("1") is None  # remembered: nobody is asked
    assert jq.check("3") is None
    assert checker_pid() != pid


def test_compiling_takes_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jq.check("4") is None
    pid = checker_pid()
    monkeypatch.setattr(checking, "CHECK_S", 0.0)
    slow = '"' + r"\(1)" * 4000 + '"'
    assert jq.check(slow) == "the filter takes longer than 0 s to compile"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    monkeypatch.undo()
    assert jq.check("5") is None


def test_a_process_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jq.check("6") is None
    vars(checking)["_CHECKER"].close()
    for command in (no_command, missing_command):
        monkeypatch.setattr(checking, "command", command)
        assert jq.check("7") == "no process for filters can be started"
    monkeypatch.undo()
    assert jq.check("7") is None  # that was not remembered


@pytest.mark.parametrize("at", [0, 1, 2])  # starting, before the answer, within it
def test_an_interrupt_does_not_give_its_answer_to_the_next_question(
    monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    vars(checking)["_CHECKER"].close()
    read: Any = vars(checking)["_read"]
    reads = 0

    def interrupted(*arguments: Any) -> bytes:
        nonlocal reads
        reads += 1
        if reads == at + 1:
            raise KeyboardInterrupt
        found: bytes = read(*arguments)
        return found

    monkeypatch.setattr(checking, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        jq.check("(")
    assert jq.check("8") is None
    assert jq.check("(") is not None


def test_a_document_has_so_many_filters_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "DOCUMENT_S", 60.0)
    with jq.one_document():
        for _ in range(2):  # each counts once
            for number in range(checking.DOCUMENT_FILTERS):
                assert jq.check(f"{number}") is None
        with jq.one_document():
            assert jq.check("65") == "not checked: a document may have 64 filters"
        assert jq.check("$x", "x") == "not checked: a document may have 64 filters"
    with jq.one_document():
        assert jq.check("65") is None


def test_the_filters_of_a_document_take_so_long_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with jq.one_document():
        assert jq.check("1") is None
        monkeypatch.setattr(checking, "DOCUMENT_S", 0.0)
        fault = jq.check("2")
    assert fault is not None
    assert fault.startswith("not checked: those before it took 0 s to compile")
    monkeypatch.undo()
    assert jq.check("2") is None


def test_what_took_too_much_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    large = '"a" * 1000000000'
    fault = jq.check(large)
    assert fault == "the filter needs more memory than it may have"
    checker: Any = vars(checking)["_CHECKER"]
    asked: list[bytes] = []

    def ask(text: bytes, names: bytes) -> None:
        del names
        asked.append(text)

    monkeypatch.setattr(checker, "ask", ask)
    assert jq.check(large) == fault
    assert asked == []
    monkeypatch.setattr(checking, "REMEMBER_S", 0.0)
    vars(checking)["_OVER"].put((large, ()), fault)
    assert jq.check(large) is None
    assert asked == [large.encode()]
    for number in range(1000):
        vars(checking)["_OVER"].put((f"{number}", ()), "slow")
    over: Any = vars(checking)["_OVER"]
    known = cast("dict[object, object]", vars(over)["_known"])
    assert len(known) == 256


async def test_a_worker_leaves_it_to_those_who_save() -> None:
    async with jq.serving():
        assert jq.check("(") is None
    assert jq.check("(") is not None


class Compiler:
    """Stands for the process that compiles filters, and says who asked for what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: set[int] = set()
        self.is_asked, self.may_answer = threading.Event(), threading.Event()
        self.may_answer.set()

    def ask(self, text: bytes, names: bytes) -> str | None:
        del names
        self.asked.append(text.decode())
        self.threads.add(threading.get_ident())
        self.is_asked.set()
        assert self.may_answer.wait(GUARD_S)
        return "bad" if b"bad" in text else None


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    stand_in = Compiler()
    monkeypatch.setattr(vars(checking)["_CHECKER"], "ask", stand_in.ask)
    return stand_in


async def test_what_is_judged_aside_is_judged_as_it_would_be_otherwise(compiler: Compiler) -> None:
    texts = ["1", "bad 2", "3", "1", *(f"[{number}]" for number in range(70))]

    def judge() -> list[str | None]:
        with jq.one_document():
            return [jq.check(text) for text in texts]

    there = await jq.judge_aside(judge)
    assert threading.get_ident() not in compiler.threads
    assert compiler.asked == list(dict.fromkeys(texts))[: checking.DOCUMENT_FILTERS]
    assert there[:4] == [None, "bad", None, None]
    assert there[-1] == "not checked: a document may have 64 filters"
    assert there == judge()


async def test_a_filter_that_is_met_only_once_another_is_known_is_compiled_too(
    compiler: Compiler,
) -> None:
    def judge() -> str:
        if jq.check("bad 1") is None:
            return "the first is taken for good"
        return f"2 is {jq.check('2')}, 3 is {jq.check('bad 3')}"

    assert await jq.judge_aside(judge) == "2 is None, 3 is bad"
    assert compiler.asked == ["bad 1", "2", "bad 3"]


async def test_what_has_no_filter_is_judged_once_and_at_once(compiler: Compiler) -> None:
    judged: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await jq.judge_aside(lambda: judged.append(1))
    assert (judged, compiler.asked) == ([1], [])
    with pytest.raises(ZeroDivisionError):
        await jq.judge_aside(lambda: 1 // 0)


async def test_who_leaves_has_no_more_filters_compiled_and_the_next_waits_for_that_one(
    compiler: Compiler,
) -> None:
    compiler.may_answer.clear()
    async with trio.open_nursery() as leaving:
        leaving.start_soon(jq.judge_aside, lambda: [jq.check("1"), jq.check("2")])
        await trio.to_thread.run_sync(compiler.is_asked.wait, GUARD_S)
        leaving.cancel_scope.cancel()
    found: list[str | None] = []

    async def next_document() -> None:
        found.append(await jq.judge_aside(lambda: jq.check("bad 3")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(next_document)
        await trio.testing.wait_all_tasks_blocked()
        assert compiler.asked == ["1"]
        compiler.may_answer.set()
    assert compiler.asked == ["1", "bad 3"]
    assert found == ["bad"]
