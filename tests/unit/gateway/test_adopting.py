"""Listening sockets that come to a worker while it runs."""

from __future__ import annotations

import errno
import importlib
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
import trio.testing

from oto_trio.gateway.adopting import Adopting
from oto_trio.gateway.engine import LEAVING
from oto_trio.gateway.frames import HANDOVER_BYTES, PROTOCOL, Listen, ListenerWays, Retune, Start
from oto_trio.gateway.listener_frames import SocketsClosed
from oto_trio.gateway.loading import HTTP3_LISTENERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.gateway.engine import Event


class Engine:
    """Accepts on everything but what it is told not to."""

    def __init__(self) -> None:
        self.adopted: list[tuple[str, int]] = []
        self.refused: set[str] = set()
        self.ways: dict[int, tuple[object, ...]] = {}
        self.logged: set[str] = set()

    def adopt(self, fd: int, listener: str, *ways: object) -> int:
        handle = self.adopt_tcp(fd, listener)
        self.ways[handle] = ways
        return handle

    def retune(self, handle: int, *ways: object) -> None:
        self.ways[handle] = ways

    def log_access(self, listeners: set[str], /) -> None:
        self.logged = listeners

    def adopt_tcp(self, fd: int, listener: str, /) -> int:
        if listener in self.refused:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        port = socket.socket(fileno=os.dup(fd))
        with port:
            self.adopted.append((listener, port.getsockname()[1]))
        return len(self.adopted)

    def release(self, handle: int, now: float, tunnels_s: float, /) -> list[Event]:
        del handle, now, tunnels_s
        return []


def begun(engine: Engine) -> tuple[Adopting, socket.socket]:
    ours, theirs = socket.socketpair()
    start = Start(protocol=PROTOCOL, slot=0, listeners=[], engine_settings=b"{}", handover=-1)
    adopting = Adopting(
        msgspec.structs.replace(start, handover=theirs.detach()), engine, lambda: 0.0
    )
    for slot in (0, 1):
        adopting.adopt(slot)
    return adopting, ours


def hand(ours: socket.socket, token: int, *, is_tcp: bool = True) -> tuple[Listen, list[int]]:
    """Send the sockets of a listener; return the order, and the ports."""
    ports: list[int] = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as server:
            ports.append(server.getsockname()[1])
            socket.send_fds(ours, [bytes(HANDOVER_BYTES)], [server.fileno()])
    return Listen(token, f"l{token}", ways=ListenerWays(), is_tcp=is_tcp, slots=2), ports


def test_a_listener_that_cannot_be_accepted_on_leaves_no_sockets_to_the_next() -> None:
    engine = Engine()
    adopting, ours = begun(engine)
    with ours:
        first, _ = hand(ours, 1)
        second, ports = hand(ours, 2)
        engine.refused = {"l1"}
        with pytest.raises(OSError, match="open files"):
            adopting.take(first)
        adopting.take(second)
        assert engine.adopted == [("l2", port) for port in ports]
        adopting.close()


def test_sockets_that_the_kernel_dropped_are_told_of() -> None:
    engine = Engine()
    adopting, ours = begun(engine)
    with ours:
        ours.sendall(bytes(HANDOVER_BYTES) * 2)
        second, ports = hand(ours, 2)
        with pytest.raises(OSError, match="open files"):
            adopting.take(Listen(1, "l1", ways=ListenerWays(), is_tcp=True, slots=2))
        adopting.take(second)
        assert engine.adopted == [("l2", port) for port in ports]
        adopting.close()


def test_a_listener_goes_other_ways_in_every_slot_also_in_those_that_are_served_later() -> None:
    engine = Engine()
    adopting, ours = begun(engine)
    with ours:
        order, _ = hand(ours, 7, is_tcp=False)
        other, _ = hand(ours, 8, is_tcp=False)
        adopting.take(order)
        adopting.take(other)
        before = (False, "Dynamic", False, True, False)
        assert set(engine.ways.values()) == {before}
        ways = ListenerWays(True, "Need", http1=False, http2=True, exclusive=True, access_log=True)
        assert engine.logged == set()
        adopting.retune(Retune(7, ways))
        assert engine.logged == {"l7"}
        after = (True, "Need", True, False, True)
        assert [engine.ways[handle] for handle in (1, 2, 3, 4)] == [after, after, before, before]
        assert adopting.drop(7, lambda *_: None) == "l7"
        assert adopting.drop(7, lambda *_: None) is None
        adopting.close()


class Datagrams:
    """Takes the UDP sockets."""

    def __init__(self) -> None:
        self.ways: dict[int, tuple[bool, str]] = {}
        self.left: list[int] = []
        self.closings: list[Callable[[], None]] = []

    def listen(
        self, sock: socket.socket, name: str, *, exclusive: bool = False, client_auth: str = ""
    ) -> int:
        del name
        sock.close()
        path = len(self.ways)
        self.ways[path] = (exclusive, client_auth)
        return path

    def retune(self, path: int, *, exclusive: bool, client_auth: str) -> None:
        self.ways[path] = (exclusive, client_auth)

    def unlisten(
        self, path: int, *, tunnels_s: float, on_closed: Callable[[], None]
    ) -> list[Event]:
        assert tunnels_s > 0
        self.closings.append(on_closed)
        self.left.append(path)
        return [(LEAVING, path)]


def test_the_udp_ports_of_a_listener_come_and_go_without_its_tcp_ports() -> None:
    engine, datagrams = Engine(), Datagrams()
    adopting, ours = begun(engine)
    adopting.make_datagrams = lambda: datagrams
    with ours:
        stream, _ = hand(ours, 1, is_tcp=False)
        for _ in range(2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                socket.send_fds(ours, [bytes(HANDOVER_BYTES)], [sock.fileno()])
        ways = ListenerWays(True, "None", exposed_port=443)
        adopting.take(msgspec.structs.replace(stream, name="l"))
        assert adopting.http3 == {}
        adopting.take(Listen(2, "l", ways=ways, is_tcp=False, slots=2, is_datagrams=True))
        assert adopting.http3 == {"l": ways}
        after = msgspec.structs.replace(ways, client_auth="Want", exclusive=True)
        adopting.retune(Retune(2, after))
        assert adopting.http3 == {"l": after}
        assert datagrams.ways == {0: (True, "Want"), 1: (True, "Want")}
        # No connection over TCP ends with it.
        raised: list[Event] = []
        closed: list[SocketsClosed] = []
        adopting.report = closed.append
        assert adopting.drop(2, lambda events, _: raised.extend(events)) is None
        assert raised == [(LEAVING, 0), (LEAVING, 1)]
        assert adopting.http3 == {}
        assert datagrams.left == [0, 1]
        # Its port is free once connections have left all of its sockets.
        for close in datagrams.closings:
            assert not closed
            close()
        assert closed == [SocketsClosed(2)]
        assert adopting.drop(1, lambda *_: None) == "l"
        adopting.close()


async def test_the_loop_goes_on_while_what_http3_takes_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[str] = []
    may_go_on = threading.Event()

    def load(name: str) -> None:
        assert may_go_on.wait(60)
        loaded.append(name)

    monkeypatch.setattr(importlib, "import_module", load)
    monkeypatch.delitem(sys.modules, HTTP3_LISTENERS, raising=False)
    adopting, ours = begun(Engine())
    adopting.make_datagrams = Datagrams
    order = Listen(1, "l", ways=ListenerWays(True), is_tcp=False, slots=2, is_datagrams=True)
    with ours:
        await adopting.prepare(msgspec.structs.replace(order, is_datagrams=False))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(adopting.prepare, order)
            await trio.testing.wait_all_tasks_blocked()
            assert loaded == []
            may_go_on.set()
        assert len(loaded) == 1
        for _ in range(2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                socket.send_fds(ours, [bytes(HANDOVER_BYTES)], [sock.fileno()])
        adopting.take(order)
        await adopting.prepare(order)
        assert len(loaded) == 1
        adopting.close()
