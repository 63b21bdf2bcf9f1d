"""What applications do wrong stays their own: the worker's other tasks go on."""

from __future__ import annotations

import sys
import threading
import types
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from oto_trio._core import FieldBlock
from oto_trio.gateway.mounts import Mounts, MountSession
from oto_trio.gateway.mounts.call import Head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Ended(BaseException):
    """As those of other libraries that are no `Exception`."""


class RememberingEngine:
    def __init__(self) -> None:
        self.statuses: list[int | None] = []
        self.told: list[tuple[str, int]] = []

    def answer_head(self, stream: int, fields: FieldBlock, now: float) -> None:
        self.statuses.append(fields.status)

    def feed(self, stream: int, data: bytes, end: bool, now: float) -> None:
        pass

    def break_stream(self, stream: int, unseen: bool, now: float) -> None:
        self.told.append(("broken", stream))

    def hang_up(self, conn: int, now: float) -> None:
        self.told.append(("hung up", conn))


def head(host: str = "a.test") -> FieldBlock:
    fields = {
        ":method": "GET",
        ":scheme": "http",
        ":authority": host,
        ":path": "/",
        ":client": "192.0.2.1",
        ":matched": "",
    }
    return FieldBlock(list(fields.items()))


async def leaves(_request: object) -> None:
    await trio.lowlevel.checkpoint()
    sys.exit(3)


async def is_cancelled(_request: object) -> None:
    await trio.lowlevel.checkpoint()
    raise Ended


async def cleans_up_badly(_request: object) -> None:
    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("while it cleaned up")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)
        await trio.sleep_forever()


async def called(place: str, *, is_given_up: bool = False, allowed: str = "*") -> list[int | None]:
    """Call a function as a request does; returns the statuses that were answered."""
    engine: Any = RememberingEngine()
    async with trio.open_nursery() as nursery:
        mounts = Mounts(engine, nursery, trio.current_time, lambda: None, [allowed])
        session = MountSession(mounts, 1, f"function {place}", {})
        session.call(5, head(), True, 0.0)
        if is_given_up:
            await trio.testing.wait_all_tasks_blocked(0.05)
            session.broken(5)
        # Any task of it that raises ends this nursery, as it would end the worker's.
    assert not session._calls
    statuses: list[int | None] = engine.statuses
    return statuses


@pytest.mark.parametrize("function", [leaves, is_cancelled])
async def test_an_application_that_wants_to_end_all_ends_its_answer(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = types.ModuleType("mounted_faults")
    module.function = function
    monkeypatch.setitem(sys.modules, "mounted_faults", module)
    assert await called("mounted_faults:function") == [500]


async def test_an_application_that_fails_while_it_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module: Any = types.ModuleType("mounted_faults")
    module.function = cleans_up_badly
    monkeypatch.setitem(sys.modules, "mounted_faults", module)
    assert await called("mounted_faults:function", is_given_up=True) == []


@pytest.mark.parametrize("error", ["SystemExit(3)", "type('Ended', (BaseException,), {})()"])
async def test_a_module_that_ends_the_interpreter_is_no_application(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounted_script.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert await called("mounted_script:app") == [502]


@pytest.mark.parametrize(
    ("allowed", "place", "status"),
    [
        ("mounted_names:greet", "mounted_names:greet", 200),
        ("mounted_names:*", "mounted_names:greet", 200),
        ("mounted_*", "mounted_names:greet", 200),
        ("mounted_names:greet", "mounted_names:other", 502),
        ("mounted_names:shop.*", "mounted_names:shop.greet", 200),
        ("mounted_names:shop.*", "mounted_names:shop.os.greet", 502),
        ("mounted_names:*", "mounted_names:shop.greet", 502),
        ("*", "mounted_names:shop.greet", 502),
    ],
)
async def test_a_star_does_not_reach_into_what_a_name_is(
    allowed: str, place: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = types.ModuleType("mounted_names")
    module.greet = lambda _request: "hello"
    module.shop = types.SimpleNamespace(greet=module.greet, os=module)
    monkeypatch.setitem(sys.modules, "mounted_names", module)
    assert await called(place, allowed=allowed) == [status]


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("a.test", ("a.test", None)),
        ("a.test:8080", ("a.test", 8080)),
        ("[::1]", ("[::1]", None)),
        ("[::1]:8080", ("[::1]", 8080)),
        ("a.test:\u00b2", ("a.test", None)),
        ("a.test:" + "1" * 5000, ("a.test", None)),
    ],
)
def test_the_server_that_a_client_names(host: str, server: tuple[str, int | None]) -> None:
    fields = [(name, value) for name, value in head() if name != b":authority"]
    fields.append((b":authority", host.encode("latin-1")))
    assert Head(FieldBlock(fields)).server == server


class Hanging:
    """A module whose import ends when its gate is opened."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gate = threading.Event()

    def greet(self, _request: object) -> str:
        return "hello"


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    # A name for each test: a thread that was left alone may still import that of another.
    module: Any = Hanging(f"mounted_hanging_{tmp_path.name}")
    monkeypatch.setitem(sys.modules, "mounted_names", module)
    (tmp_path / f"{module.name}.py").write_text("import mounted_names as m; m.gate.wait()\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield module
    module.gate.set()


async def test_a_module_that_hangs_keeps_neither_others_nor_the_end_of_the_worker(
    hanging: Hanging,
) -> None:
    engine: Any = RememberingEngine()
    async with trio.open_nursery() as nursery:
        mounts = Mounts(engine, nursery, trio.current_time, lambda: None, ["*"])
        for number, place in enumerate((f"{hanging.name}:app", "mounted_names:greet")):
            session = MountSession(mounts, number, f"function {place}", {})
            session.call(number, head(), True, 0.0)
        while engine.statuses != [200]:
            await trio.lowlevel.checkpoint()
        await mounts.close()
        nursery.cancel_scope.cancel()
    assert not hanging.gate.is_set()


async def test_a_module_that_takes_too_long_is_no_application(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("oto_trio.gateway.mounts.mounts.IMPORT_S", 0.01)
    assert await called(f"{hanging.name}:app") == [502]
    assert f"importing {hanging.name} took longer than 0.01 s" in caplog.text


async def test_whoever_asked_first_may_leave_while_a_module_is_imported(hanging: Hanging) -> None:
    engine: Any = RememberingEngine()
    async with trio.open_nursery() as nursery:
        mounts = Mounts(engine, nursery, trio.current_time, lambda: None, ["*:*.*"])
        session = MountSession(mounts, 1, f"function {hanging.name}:m.greet", {})
        session.call(1, head(), True, 0.0)
        session.call(2, head(), True, 0.0)
        await trio.testing.wait_all_tasks_blocked()
        session.broken(1)
        await trio.testing.wait_all_tasks_blocked()
        hanging.gate.set()
    assert engine.statuses == [200]


async def test_a_session_that_fails_leaves_no_call_without_an_end() -> None:
    engine: Any = RememberingEngine()
    async with trio.open_nursery() as nursery:
        mounts = Mounts(engine, nursery, trio.current_time, lambda: None, ["*"])
        session = MountSession(mounts, 1, "function mounted_nowhere:app", {})
        session.call(5, head(), True, 0.0)
        session.fail(0.0)
        session.fail(0.0)
    assert engine.statuses == []
    assert engine.told[:2] == [("broken", 5), ("hung up", 1)]
