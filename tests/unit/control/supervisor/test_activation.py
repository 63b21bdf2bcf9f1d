"""Sockets that a service manager hands over, and what it is told."""

import fcntl
import os
import socket
from collections.abc import Generator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from oto_trio.control.notify import Notifier
from oto_trio.control.settings import Settings
from oto_trio.control.supervisor.activation import (
    Activation,
    ActivationError,
    check_loopback,
    take_activation,
)
from oto_trio.control.supervisor.fixed_listeners import bind_admin, bind_fixed
from oto_trio.control.supervisor.listening import listening

PID = 4711


class Handover:
    """Descriptors one behind the other, as the protocol wants them, and the variables that tell of them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.first = 300
        self.count = 0

    def add(self, descriptor: int) -> None:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, self.first + self.count)
        assert moved == self.first + self.count
        self._stack.callback(self._close, moved)
        self.count += 1

    def listen(self, host: str = "127.0.0.1") -> tuple[str, int]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as sock:
            self.add(sock.fileno())
            host, port, *_ = sock.getsockname()
            return host, port

    def environ(self, *names: str, pid: int = PID) -> dict[str, str]:
        told = {"LISTEN_PID": str(pid), "LISTEN_FDS": str(self.count), "HOME": "/"}
        return {**told, "LISTEN_FDNAMES": ":".join(names)} if names else told

    def take(self, *names: str, count: str = "") -> Activation:
        environ = self.environ(*names)
        environ["LISTEN_FDS"] = count or environ["LISTEN_FDS"]
        taken = take_activation(environ, PID, first=self.first)
        for _, sock in taken.all():
            self._stack.enter_context(sock)
        return taken

    @staticmethod
    def _close(descriptor: int) -> None:
        with suppress(OSError):  # who took it over closed it
            os.close(descriptor)


@pytest.fixture
def handover() -> Generator[Handover]:
    with ExitStack() as stack:
        yield Handover(stack)


def test_sockets_are_told_apart_by_name_and_the_variables_go(handover: Handover) -> None:
    admin, first, second = handover.listen(), handover.listen(), handover.listen()
    environ = handover.environ("admin", "http", "http")
    taken = take_activation(environ, PID, first=handover.first)
    assert environ == {"HOME": "/"}
    assert [sock.getsockname() for sock in taken.of("http")] == [first, second]
    assert [sock.getsockname() for sock in taken.of("admin")] == [admin]
    assert taken.of("https") == ()
    for _, sock in taken.all():
        assert not sock.get_inheritable()
        assert sock.gettimeout() == 0
        sock.close()


@pytest.mark.parametrize("names", [(), ("unknown", "oto-trio.socket")])
def test_sockets_without_our_names_count_by_their_order(
    handover: Handover, names: tuple[str, ...]
) -> None:
    http, https = handover.listen(), handover.listen()
    taken = handover.take(*names)
    assert {name: sock.getsockname() for name, sock in taken.all()} == {
        "http": http,
        "https": https,
    }


def test_what_is_for_another_process_is_left_alone(handover: Handover) -> None:
    handover.listen()
    environ = handover.environ(pid=PID + 1)
    assert not list(take_activation(environ, PID, first=handover.first).all())
    os.fstat(handover.first)
    assert environ == {"HOME": "/"}
    assert not list(take_activation({}, PID).all())


def test_descriptors_that_are_no_listening_sockets_are_told(
    handover: Handover, tmp_path: Path
) -> None:
    def problem(*names: str, count: str = "") -> str:
        with pytest.raises(ActivationError) as raised:
            handover.take(*names, count=count)
        return str(raised.value)

    assert "LISTEN_FDS is 'many'" in problem(count="many")
    assert "LISTEN_FDS is '999'" in problem(count="999")
    handover.count = 1
    assert "cannot be used: Bad file descriptor" in problem()
    handover.first, handover.count = 305, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        handover.add(datagrams.fileno())
    assert "descriptor 305 (http), which was handed over, is no stream socket" in problem("http")
    handover.first, handover.count = 310, 0
    with socket.socket() as idle:
        handover.add(idle.fileno())
    assert "does not listen" in problem()
    handover.first, handover.count = 320, 0
    with (tmp_path / "file").open("w") as file:
        handover.add(file.fileno())
    assert "is no socket" in problem()
    handover.first, handover.count = 330, 0
    for _ in range(4):
        handover.listen()
    assert "4 sockets were handed over without names" in problem()
    assert "is named 'other' beside" in problem("http", "other", "https", "admin")


def test_the_well_known_key_is_not_shown_to_others(handover: Handover) -> None:
    handover.listen("127.0.0.1")
    taken = handover.take()
    check_loopback(taken)
    handover.first, handover.count = 340, 0
    handover.listen()
    handover.listen("0.0.0.0")
    taken = handover.take()
    with pytest.raises(ActivationError, match=r"https .* listens on 0\.0\.0\.0"):
        check_loopback(taken)


def test_they_are_used_in_place_of_the_settings_and_go_on_listening(handover: Handover) -> None:
    http, admin = handover.listen(), handover.listen()
    kept = socket.socket(fileno=os.dup(handover.first))
    taken = handover.take("http", "admin")
    settings = Settings(bind="127.0.0.1", http_port=0, https_port=0)
    with (
        kept,
        listening(*bind_fixed(settings, 2, taken)) as (plain, secured),
        listening(*bind_admin(settings, taken)) as (api,),
    ):
        assert (plain.address, api.address) == (http, admin)
        assert (plain.secured, secured.secured) == (False, True)
        assert [len(listener.sockets) for listener in (plain, secured)] == [2, 2]
        plain.close()
        # The manager has it still: a client waits for the next gateway instead of being refused.
        with socket.create_connection(http, timeout=5):
            kept.accept()[0].close()


async def test_the_manager_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "notify"
    environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(PID)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(5)
        notifier = Notifier.taken_from(environ, PID)
        assert environ == {}
        await notifier.ready("serves")
        assert manager.recv(4096) == b"READY=1\nSTATUS=serves"
        await notifier.reloading()
        first, second = manager.recv(4096).split(b"\n")
        assert first == b"RELOADING=1"
        assert second.startswith(b"MONOTONIC_USEC=")
        await notifier.stopping("ends")
        assert manager.recv(4096) == b"STOPPING=1\nSTATUS=ends"
    for _ in range(2):
        await notifier.ready("nobody is there")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await Notifier().ready("nobody asked")


async def test_signs_of_life_come_twice_as_often_as_they_are_wanted(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path = tmp_path / "notify"
    environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(0)
        with trio.move_on_after(3.1):
            await Notifier.taken_from(environ, PID).run()
        assert [manager.recv(64) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        with pytest.raises(BlockingIOError):
            manager.recv(64)
        # A queue that is full is waited for, and not for ever.
        await Notifier(str(path)).ready("1")
        for _ in range(100):
            await Notifier(str(path)).stopping("2")
        assert manager.recv(64) == b"READY=1\nSTATUS=1"
    # For another process, or not at all: nothing is sent, and the task ends.
    for of_another in ({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}):
        await Notifier.taken_from({"NOTIFY_SOCKET": "@none", **of_another}, PID).run()
