"""Filters that run in processes of their own."""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
import trio.testing

from oto_trio import jq
from oto_trio.jq import child, filters, process
from tests.unit.jq.patience import patient

if TYPE_CHECKING:
    from collections.abc import Generator

    from oto_trio.jq.filters import Filters

LOOP = "def f: f; f"
WORD = b'{"a": 1}'


@contextmanager
def fails(kind: type[jq.JqError], message: str) -> Generator[None]:
    """Expect an error that is of exactly this kind and says this."""
    with pytest.raises(jq.JqError) as caught:
        yield
    assert (type(caught.value), caught.value.message) == (kind, message)


def is_there(pid: int) -> bool:
    """Whether a process, or what is left of it, is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def no_command(memory_bytes: int) -> list[str]:
    """Stand for the command of a process that cannot be started."""
    del memory_bytes
    return ["false"]


def missing_command(memory_bytes: int) -> list[str]:
    """Stand for the command of a program that is not there."""
    del memory_bytes
    return ["/nowhere/at/all"]


async def one_idle(running: Filters) -> int:
    """Have one process started; returns its number."""
    assert await running.run(".", b"0") == [b"0"]
    (pid,) = running.idle
    return pid


OUTPUTS: list[tuple[str, bytes, list[bytes]]] = [
    (".", b' {"b" : 1,\n"a":2} ', [b'{"b":1,"a":2}']),
    (".a", WORD, [b"1"]),
    ("1, 2 # and \\", WORD, [b"1", b"2"]),
    ("empty", WORD, []),
    ('"a\\nb"', WORD, [b'"a\\nb"']),
    ('""', WORD, [b'""']),
    (".", b"12345678901234567890.50", [b"12345678901234567890.50"]),
    (".", b'"\xe2\x82\xac"', [b'"\xe2\x82\xac"']),
    ("1, halt, 2", WORD, [b"1"]),
    ("[inputs]", WORD, [b"[]"]),
    ("debug, stderr, input_filename", b"1", [b"1", b"1", b"null"]),
    ("def f: 3; f", WORD, [b"3"]),
    (".a, def f: 3; f, 4", WORD, [b"1", b"3", b"4"]),
    (".a as $x | 2, $x", WORD, [b"2", b"1"]),
    ("label $out | 1, break $out, 2", WORD, [b"1"]),
    ("try error(1) catch .", WORD, [b"1"]),
    ("$__loc__.line", WORD, [b"1"]),
]
FAULTS = [
    ("(", WORD, "syntax error, unexpected end of file at line 1, column 1"),
    ("\n.. f", WORD, "syntax error, unexpected IDENT, expecting end of file at line 2, column 4"),
    (
        "f, g",
        WORD,
        "f/0 is not defined at line 1, column 1; g/0 is not defined at line 1, column 4",
    ),
    (". as $x", WORD, "syntax error, unexpected end of file, expecting '|' at line 1, column 6"),
    ("", WORD, 'Top-level program not given (try ".")'),
    ("1 ) | ( 2", WORD, "syntax error"),
    ("$context", WORD, "$context is not defined at line 1, column 1"),
    (".a.b", WORD, 'Cannot index number with string ("b")'),
    ('error("no")', WORD, "no"),
    ("error({a: 1})", WORD, '{"a": 1}'),
    ('1, error("no")', WORD, "no"),
    ('"no" | halt_error', WORD, "no"),
    ('"no" | halt_error(3)', WORD, "no"),
    ("input", WORD, "No more inputs"),
    ('"m" | modulemeta', WORD, "modulemeta is not available here"),
    ("$__prog_args", WORD, "$__prog_args is not defined at line 1, column 1"),
    (".", b"1 2", "the document is not one JSON value"),
    (".", b"", "the document is not one JSON value"),
    (".", b'"\xff"', "the document is not one JSON value"),
    (".", b"x", "parse error: Invalid numeric literal at line 2, column 0"),
    (".", b"1] [1", "parse error: Unmatched ']' at line 1, column 2"),
    (".", b"[" * 20_000, "parse error: Exceeds depth limit for parsing at line 1, column 10001"),
    (".\0", WORD, "the filter holds a NUL"),
    ("\ud800", WORD, "the filter holds half a character"),
    (" " * child.MAX_FILTER_BYTES + ".", WORD, "the filter is longer than 16384 bytes"),
]


async def test_what_filters_make_of_documents() -> None:
    async with jq.serving(patient()) as running:
        for text, document, outputs in OUTPUTS:
            for _ in range(2):  # compiled, and remembered
                assert await jq.run(text, document) == outputs, text
        for text, document, fault in FAULTS:
            with pytest.raises(jq.JqError) as caught:
                await jq.run(text, document)
            assert fault in caught.value.message, (text, caught.value.message)
            assert type(caught.value) is jq.JqError, text
        assert len(running.idle) == 1  # one process did it all
        runs = 2 * len(OUTPUTS) + len(FAULTS)
        counted = {"filter_runs": runs, "filter_failures": len(FAULTS), "filters_stopped": 0}
        assert running.metrics() == counted


WORDS = [
    *(".", ".a", ".[]?", "..", "1", '"x"', "empty", "error", "not", "length?", "keys?", ".b // 3"),
    *("def f: .a?; f", "def f($x): $x; f(1)", ". as $v | $v", ".a as [$v] | $v", "-1", "[.[]?, 2]"),
    *("try error(1) catch .", "try error(1)", ".a?", "if . then 1 else 2 end", "label $l | 1, break $l"),
    *("reduce .[]? as $i (0; . + 1)", "foreach (1, 2) as $i (0; . + $i)", "{a: ., b: 1}", "# c \n2"),
    *('"s\\(.)"', "first(1, 2)", ".a = 3", "@json", "map(.)?", "(1, 2) | . + 1", "1 as $x | 2 as $y | $x"),
]  # fmt: skip


async def test_any_filter_gives_what_the_library_gives() -> None:
    library = importlib.import_module("jq")
    chosen = random.Random(7)
    document = '{"a": [1, "2"], "b": null}'
    given = 0
    async with jq.serving(patient()):
        for _ in range(150):
            words = chosen.choices(WORDS, k=chosen.randint(1, 4))
            text = words[0] + "".join(
                chosen.choice([", ", " | ", "\n|", " "]) + w for w in words[1:]
            )
            try:
                wanted = list(library.compile(text).input_text(document))
            except ValueError:
                with pytest.raises(jq.JqError):
                    await jq.run(text, document.encode())
            else:
                given += 1
                outputs = await jq.run(text, document.encode())
                assert [json.loads(output) for output in outputs] == wanted, text
    assert given > 50


async def test_values_that_a_filter_knows_by_name() -> None:
    async with jq.serving(patient()):
        names = {"context": b'{"a": [1]}', "other": b"2"}
        assert await jq.run("$context.a, $other, .", b"3", names) == [b"[1]", b"2", b"3"]
        # No document takes the place of the values.
        for document in (b'1, {"context": 2}', b'1] [{"context": 2}', b'1 {"context": 2}'):
            with pytest.raises(jq.JqError):
                await jq.run("$context", document, names)


async def test_a_filter_sees_no_file_and_no_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.jq").write_text('module {"a": 1}; def f: 7;')
    (tmp_path / "d.json").write_text('{"secret": 1}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "shown")
    async with jq.serving(patient()) as running:
        assert await jq.run("env, $ENV, ([$ENV | keys[]] | length)", b"0") == [b"{}", b"{}", b"0"]
        for text in (
            'import "m" as m; m::f',
            'include "m"; f',
            f'import "d" as $d {{search: "{tmp_path}"}}; $d',
            '# a comment \\\n goes on\nimport "d" as $d; $d',
            'module {"a": 1}; 1',
            f'import "m" as m {{search: "{tmp_path}"}}; m::f',
        ):
            with fails(jq.JqError, "import, include and module are not available here"):
                await jq.run(text, b"0")
        for text in ('"m" | modulemeta', f'"{tmp_path}/m" | modulemeta'):
            with fails(jq.JqError, "modulemeta is not available here"):
                await jq.run(text, b"0")
        (pid,) = running.idle
        about = Path(f"/proc/{pid}")
        assert (about / "environ").read_bytes().strip(b"\0") == b""
        assert (about / "cwd").readlink() == Path("/")
        limits = {
            line[:25].strip(): line[26:].split()[:2]
            for line in (about / "limits").read_text().splitlines()
        }
        assert (about / "oom_score_adj").read_text().strip() == "1000"
        assert limits["Max open files"] == ["3", "3"]
        assert limits["Max core file size"] == ["0", "0"]
        assert limits["Max file size"] == ["0", "0"]
        assert limits["Max address space"] == [str(running.bounds.memory_bytes)] * 2
        assert {link.name for link in (about / "fd").iterdir()} == {"0", "1", "2"}


async def test_a_filter_that_takes_too_long_is_killed(mock_clock: trio.testing.MockClock) -> None:
    async with jq.serving() as running:
        for text in (LOOP, "last(range(1e12))", "[limit(0; repeat(empty))] | until(false; .)"):
            pid = await one_idle(running)
            async with trio.open_nursery() as nursery:

                async def loop(text: str = text) -> None:
                    with fails(jq.JqBoundError, "the filter takes longer than 1 s"):
                        await jq.run(text, b"0")

                nursery.start_soon(loop)
                await trio.testing.wait_all_tasks_blocked()
                assert is_there(pid)
                mock_clock.jump(1.1)
            assert not is_there(pid)
            assert running.idle == []


async def test_a_filter_that_takes_or_makes_too_much_is_stopped() -> None:
    bounds = patient(output_bytes=1024, document_bytes=1024)
    async with jq.serving(bounds) as running:
        with fails(jq.JqBoundError, "the filter makes more than 1024 bytes"):
            await jq.run("range(1e12)", b"0")
        with fails(jq.JqBoundError, "the filter makes more than 1024 bytes"):
            await jq.run('"x" * 1023', b"0")  # and the quotes
        assert await jq.run('"x" * 1022', b"0") == [json.dumps("x" * 1022).encode()]
        with fails(jq.JqBoundError, "the document is longer than the 1024 bytes it may have"):
            await jq.run(".", b" " * 1025)
        (pid,) = running.idle
        for text in (
            '"a" * 1000000000',  # when it is compiled
            '. as $n | "a" * $n',  # when it runs
            'reduce range(40) as $i ("a"; . + .)',
        ):
            with fails(jq.JqBoundError, "the filter needs more memory than it may have"):
                await jq.run(text, b"1000000000")
            assert not is_there(pid)
            pid = await one_idle(running)
        assert running.metrics() == {"filter_runs": 10, "filter_failures": 6, "filters_stopped": 6}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (-signal.SIGABRT, "the filter needs more memory than it may have"),
        (child.NO_MEMORY, "the filter needs more memory than it may have"),
        (-signal.SIGSEGV, "the filter, or what it made, is nested too deeply"),
        (-signal.SIGKILL, "the process that ran the filter ended"),
        (None, "the process that ran the filter ended"),
    ],
)
def test_what_the_end_of_a_process_says(status: int | None, said: str) -> None:
    assert process.why_it_ended(status) == said


async def test_a_process_that_is_killed_from_outside_is_replaced() -> None:
    async with jq.serving(patient()) as running:
        pid = await one_idle(running)
        os.kill(pid, signal.SIGKILL)
        await trio.to_thread.run_sync(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert await one_idle(running) != pid
        (pid,) = running.idle
        async with trio.open_nursery() as nursery:

            async def loop() -> None:
                with fails(jq.JqBoundError, "the process that ran the filter ended"):
                    await jq.run(LOOP, b"0")

            nursery.start_soon(loop)
            await trio.testing.wait_all_tasks_blocked()
            os.kill(pid, signal.SIGKILL)
        assert not is_there(pid)
        assert await jq.run(".", b"1") == [b"1"]


async def test_a_signal_to_a_whole_service_leaves_processes_to_the_gateway() -> None:
    async with jq.serving(patient()) as running:
        pid = await one_idle(running)
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, name)
        assert await one_idle(running) == pid


async def test_an_answer_that_is_longer_than_agreed_is_not_read(
    monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.rate = 1000  # nobody waits seconds for the end of a process that does not end
    rogue = f"""
import os, struct
os.write(1, {child.READY!r})
os.read(0, 10)
os.write(1, struct.pack({child.ANSWER.format!r}, 0, 4_000_000_000))
os.read(0, 0x7fffffff)
while True: os.read(0, 10) or os._exit(0)
"""

    def command(memory_bytes: int) -> list[str]:
        del memory_bytes
        return [sys.executable, "-I", "-S", "-c", rogue]

    monkeypatch.setattr(filters, "command", command)
    monkeypatch.setattr(filters, "START_S", 100_000)
    async with jq.serving(jq.JqBounds(timeout_s=60)) as running:
        running.bounds = msgspec.structs.replace(running.bounds, timeout_s=1e6)
        with fails(jq.JqBoundError, "the process that ran the filter ended"):
            await jq.run(".", b"0")


async def test_a_process_that_nobody_kills_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "_ALONE_S", -59.9)
    async with jq.serving(jq.JqBounds(timeout_s=60)):
        with fails(jq.JqBoundError, "the process that ran the filter ended"):
            await jq.run(LOOP, b"0")


async def test_a_caller_that_is_cancelled_takes_the_process_with_it() -> None:
    async with jq.serving(patient()) as running:
        pid = await one_idle(running)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jq.run, LOOP, b"0")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert not is_there(pid)
        assert await jq.run(".", b"1") == [b"1"]  # the place is free again


@pytest.mark.parametrize("size", [1, 300_000])  # more than a pipe holds
async def test_a_process_that_answers_soon_is_kept_when_its_caller_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(filters, "LEAVE_S", 60.0)
    async with jq.serving(jq.JqBounds(timeout_s=60)) as running:
        pid = await one_idle(running)
        os.kill(pid, signal.SIGSTOP)
        document = msgspec.json.encode("x" * size)
        async with trio.open_nursery() as nursery:
            left = trio.CancelScope()

            async def leave() -> None:
                with left:
                    await jq.run(".", document)

            nursery.start_soon(leave)
            await trio.testing.wait_all_tasks_blocked()
            left.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert running.idle == []
            os.kill(pid, signal.SIGCONT)
        assert left.cancelled_caught
        assert running.idle == [pid]
        assert await jq.run(".", b"2") == [b"2"]  # not the answer that nobody took


async def test_a_caller_that_is_cancelled_stays_so_when_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filters, "LEAVE_S", 60.0)
    async with jq.serving(jq.JqBounds(timeout_s=60)) as running:
        pid = await one_idle(running)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jq.run, LOOP, b"0")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
            os.kill(pid, signal.SIGKILL)
        assert nursery.cancel_scope.cancelled_caught
        assert running.idle == []
        assert not is_there(pid)


async def test_as_many_run_and_wait_as_may(mock_clock: trio.testing.MockClock) -> None:
    async with jq.serving(jq.JqBounds(processes=1, waiting=1, timeout_s=60)) as running:
        outputs: list[bytes] = []

        async def second() -> None:
            outputs.extend(await jq.run(".", b"2"))

        async with trio.open_nursery() as nursery:
            first = trio.CancelScope()

            async def loop() -> None:
                with first:
                    await jq.run(LOOP, b"0")

            nursery.start_soon(loop)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(second)
            await trio.testing.wait_all_tasks_blocked()
            assert running.waiting == 1
            with fails(jq.JqBusyError, "too many filters wait for others to end"):
                await jq.run(".", b"3")
            first.cancel()
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(filters.LEAVE_S)
        assert outputs == [b"2"]
        assert running.waiting == 0

        async with trio.open_nursery() as nursery:
            nursery.start_soon(jq.run, LOOP, b"0")
            await trio.testing.wait_all_tasks_blocked()

            async def patient() -> None:
                with fails(jq.JqBusyError, "other filters run for longer than 5 s"):
                    await jq.run(".", b"2")

            async with trio.open_nursery() as others:
                others.start_soon(patient)
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(5.1)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(filters.LEAVE_S)


async def test_a_route_of_slow_filters_does_not_hold_up_another(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with jq.serving(jq.JqBounds(processes=1)) as running:
        await one_idle(running)
        ended: list[str] = []

        async def slow() -> None:
            with pytest.raises(jq.JqError):
                await jq.run(LOOP, b"0", whose="slow")
            ended.append("slow")

        async def quick() -> None:
            assert await jq.run(".", b"1", whose="quick") == [b"1"]
            ended.append("quick")

        async with trio.open_nursery() as nursery:
            for run in (slow, slow, slow, quick):
                nursery.start_soon(run)
                await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(1.1)
            while "quick" not in ended:
                await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(filters.LEAVE_S)
        assert ended == ["slow", "quick"]


async def test_several_run_at_once() -> None:
    async with jq.serving(jq.JqBounds(processes=2, timeout_s=60)) as running:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jq.run, LOOP, b"0")
            await trio.testing.wait_all_tasks_blocked()
            assert await jq.run(".", b"1") == [b"1"]
            nursery.cancel_scope.cancel()
        assert len(running.idle) == 1


async def test_a_process_is_replaced_after_so_many_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "RUNS", 2)
    async with jq.serving(patient()) as running:
        first = [await one_idle(running) for _ in range(2)]
        assert first[0] == first[1]
        assert await one_idle(running) != first[0]
        assert not is_there(first[0])


async def test_a_process_that_keeps_too_much_memory_is_replaced_behind_its_answer() -> None:
    bounds = patient(output_bytes=60 * 2**20)
    async with jq.serving(bounds) as running:
        pid = await one_idle(running)
        # What it compiles to stays in the process: 16 programs of 5 MB and more.
        seen = {pid}
        for number in range(16):
            assert await jq.run(f'"{number}" + "a" * 5000000 | length', b"0")
            seen |= set(running.idle)
        assert len(seen) > 1
        assert not is_there(pid)
        assert running.metrics()["filter_failures"] == 0


async def test_what_a_run_held_that_made_too_much_is_let_go() -> None:
    seen: set[int] = set()
    async with jq.serving(patient(output_bytes=1024)) as running:
        for number in range(6):
            with fails(jq.JqBoundError, "the filter makes more than 1024 bytes"):
                await jq.run(f'[range(700000)] as $big | repeat("x" * 2000) # {number}', b"0")
            seen |= set(running.idle)
    assert len(seen) == 1  # it did not have to end


@pytest.mark.parametrize("around", ["[{}]", '[{}, "<skipped: too deep>"]', '{{"\\"": {}}}'])
async def test_what_is_nested_too_deeply_to_be_written_is_a_fault(around: str) -> None:
    async with jq.serving(patient()):
        deep = "reduce range(10005) as $i (1; [.])"
        with fails(jq.JqError, "what the filter made is nested too deeply"):
            await jq.run(around.format(f"({deep})"), b"0")
        told = '["<skipped: too deep>","\\"<skipped: too deep>"]'
        assert await jq.run(".", told.encode()) == [told.encode()]


async def test_more_filters_than_are_remembered() -> None:
    async with jq.serving(patient()):
        for _ in range(2):
            for number in range(70):
                assert await jq.run(f"{number}", b"0") == [str(number).encode()]
        long = " " * (child.MAX_FILTER_BYTES - 10)
        for number in range(20):
            assert await jq.run(f"{long}{number}", b"0") == [str(number).encode()]


async def test_no_process_is_left_and_none_is_started_once_it_is_closed() -> None:
    async with jq.serving(patient()) as running:
        pid = await one_idle(running)
    assert not is_there(pid)
    with pytest.raises(trio.ClosedResourceError):
        await running.run(".", b"0")
    with pytest.raises(RuntimeError, match=r"jq\.serving"):
        await jq.run(".", b"0")


async def test_a_run_that_is_under_way_when_it_is_closed_leaves_no_process() -> None:
    running = jq.Filters(jq.JqBounds(timeout_s=60))
    pid = await one_idle(running)
    os.kill(pid, signal.SIGSTOP)
    async with trio.open_nursery() as nursery:

        async def last() -> None:
            assert await running.run(".", b"1") == [b"1"]

        nursery.start_soon(last)
        await trio.testing.wait_all_tasks_blocked()
        await running.aclose()
        os.kill(pid, signal.SIGCONT)
    assert running.idle == []
    assert not is_there(pid)


async def test_a_process_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    async with jq.serving(jq.JqBounds(processes=1)):
        for command in (no_command, missing_command):  # the place is given back
            monkeypatch.setattr(filters, "command", command)
            with fails(jq.JqError, "no process for filters can be started"):
                await jq.run(".", b"0")
