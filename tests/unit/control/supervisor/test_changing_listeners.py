"""What workers are told of listeners that come and go."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
import trio.testing

from oto_trio.control.store import MemoryStore
from oto_trio.control.store.base import Delete, Put
from oto_trio.control.supervisor.changing_listeners import (
    KNOWN_S,
    RELEASE_S,
    ChangingListeners,
)
from oto_trio.control.supervisor.listeners import ListenerSet, WantedListener
from oto_trio.control.supervisor.listening import BindError, Listener, bind_listener, listening
from oto_trio.gateway.frames import ListenerWays
from oto_trio.model.http_listener import HTTP_LISTENERS
from oto_trio.model.tcp_service import TCP_SERVICES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SERVICE = (
    b'{"id":"s","name":"s","description":"","enabled":true,"tls":"Disabled","sni":{"enabled":false},'
    b'"clientAuth":"None","interface":"127.0.0.1","port":9,"rules":[]}'
)


class SlowWorker:
    """Takes orders only when it is let."""

    def __init__(self) -> None:
        self.has_time = trio.Event()
        self.listens: list[int] = []
        self.released: list[int] = []
        self.retuned: list[tuple[int, ListenerWays | None]] = []
        self.has_retuned = trio.Event()
        self.has_retuned.set()
        self.has_closed = trio.Event()

    async def listen(self, listener: Listener) -> None:
        self.listens.append(listener.token)

    async def retune(self, listener: Listener) -> None:
        self.retuned.append((listener.token, listener.ways))

    async def wait_retuned(self) -> None:
        await self.has_retuned.wait()

    async def unlisten(self, listener: Listener) -> None:
        await self.has_time.wait()
        self.released.append(listener.token)

    async def wait_closed(self, listener: Listener) -> None:
        assert listener.is_datagrams
        await self.has_closed.wait()

    async def wait_known(self, revision: int) -> None:
        del revision
        await trio.lowlevel.checkpoint()


def bind(name: str, _host: str, _port: int, *, secured: bool, slots: int) -> Listener:
    return Listener(name, secured, tuple(socket.socket() for _ in range(slots)))


async def test_a_worker_that_has_no_time_yet_is_told_of_a_closed_listener_all_the_same(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    listeners = ListenerSet([Listener("standard-listener", False, tuple(sockets))], bind)
    worker = SlowWorker()
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        changing = ChangingListeners(store, listeners, lambda: [worker], lambda: None)
        nursery.start_soon(changing.run)
        await store.put(TCP_SERVICES, "s", SERVICE)
        await trio.testing.wait_all_tasks_blocked()
        assert worker.listens
        (opened,) = listeners.current[1:]
        await store.delete(TCP_SERVICES, "s")
        await trio.sleep(RELEASE_S * 2)
        # The others wait for it no longer: the listener is closed here.
        assert listeners.current[1:] == ()
        assert changing.settled == await revision(store)
        assert opened.sockets[0].fileno() == -1
        worker.has_time.set()
        await trio.testing.wait_all_tasks_blocked()
        assert worker.released == worker.listens
        nursery.cancel_scope.cancel()
    listeners.close_all()


class Ports:
    """Opens listeners; of one whose UDP sockets workers have it opens no other."""

    def __init__(self) -> None:
        self.is_taken = False
        self.is_left = False
        """The next try that fails is the last one."""
        self.tries = 0

    def bind(
        self,
        name: str,
        host: str,
        port: int,
        *,
        secured: bool,
        slots: int,
        datagrams: bool = False,
    ) -> Listener:
        if datagrams:
            self.tries += 1
            if self.is_taken:
                self.is_taken = not self.is_left
                raise BindError("taken", host=host, port=port)
            self.is_taken = True
        listener = bind(name, host, port, secured=secured, slots=slots)
        return msgspec.structs.replace(listener, is_datagrams=datagrams)


@pytest.mark.parametrize("is_early", [False, True], ids=["later", "meanwhile"])
async def test_a_udp_port_is_opened_again_as_soon_as_the_last_connection_on_it_has_ended(
    sockets: list[socket.socket], mock_clock: trio.testing.MockClock, is_early: bool
) -> None:
    del mock_clock  # no time passes: nothing is tried by the clock
    ports, worker = Ports(), SlowWorker()
    worker.has_time.set()
    listeners = ListenerSet([Listener("standard-listener", False, tuple(sockets))], ports.bind)
    http3 = {"http1": False, "http2": False, "http3": True}
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        changing = ChangingListeners(store, listeners, lambda: [worker], lambda: None)
        nursery.start_soon(changing.run)
        await trio.testing.wait_all_tasks_blocked()
        await store.put(HTTP_LISTENERS, "l", http_listener("l", **http3))
        await trio.testing.wait_all_tasks_blocked()
        (before,) = listeners.current[1:]
        # Another listener's in the same change, as far as the port goes.
        if is_early:
            # While the others are still waited for.
            ports.is_left = True
            worker.has_closed.set()
        await store.transact(
            [
                Delete(HTTP_LISTENERS, "l"),
                Put(HTTP_LISTENERS, "m", http_listener("m", **http3)),
            ]
        )
        await trio.testing.wait_all_tasks_blocked()
        if not is_early:
            assert (listeners.current[1:], ports.tries) == ((), 2)
            ports.is_taken = False
            worker.has_closed.set()
            await trio.testing.wait_all_tasks_blocked()
        (after,) = listeners.current[1:]
        assert after.token != before.token
        assert worker.listens == [before.token, after.token]
        nursery.cancel_scope.cancel()
    listeners.close_all()


async def revision(store: MemoryStore) -> int:
    return (await store.snapshot(())).revision


def http_listener(name: str, **config: Any) -> bytes:
    settings = {"enabled": True, "port": 9, "host": "127.0.0.1", **config}
    document = {"id": name, "name": name, "description": "", "config": settings}
    return msgspec.json.encode(document)


@asynccontextmanager
async def followed(
    store: MemoryStore, sockets: list[socket.socket], worker: SlowWorker
) -> AsyncGenerator[tuple[ChangingListeners, ListenerSet]]:
    """Listeners in step with a store that has none yet."""
    listeners = ListenerSet([Listener("standard-listener", False, tuple(sockets))], bind)
    async with trio.open_nursery() as nursery:
        changing = ChangingListeners(store, listeners, lambda: [worker], lambda: None)
        nursery.start_soon(changing.run)
        await trio.testing.wait_all_tasks_blocked()
        yield changing, listeners
        nursery.cancel_scope.cancel()
    listeners.close_all()


async def test_what_clients_may_speak_changes_while_the_port_stays_open(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    worker = SlowWorker()
    async with MemoryStore() as store, followed(store, sockets, worker) as (_, listeners):
        await store.put(HTTP_LISTENERS, "l", http_listener("l"))
        await trio.testing.wait_all_tasks_blocked()
        (before,) = listeners.current[1:]
        assert before.ways == ListenerWays(
            secured=True, client_auth="None", http2=True, exposed_port=9
        )
        await store.put(
            HTTP_LISTENERS, "l", http_listener("l", tls=False, h2c=True, exclusive=True)
        )
        await trio.testing.wait_all_tasks_blocked()
        (after,) = listeners.current[1:]
        assert after.sockets == before.sockets
        assert not after.secured
        ways = ListenerWays(client_auth="None", http2=True, exclusive=True, exposed_port=9)
        assert worker.retuned == [(before.token, ways)]
        assert (worker.listens, worker.released) == ([before.token], [])
        # Another port is another socket, and the old one is let go of.
        worker.has_time.set()
        await store.put(HTTP_LISTENERS, "l", http_listener("l", port=10))
        await trio.testing.wait_all_tasks_blocked()
        assert worker.released == [before.token]
        assert len(worker.listens) == 2
        assert before.sockets[0].fileno() == -1


async def test_a_change_of_what_is_spoken_is_settled_once_the_workers_speak_it(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    worker = SlowWorker()
    async with MemoryStore() as store, followed(store, sockets, worker) as (changing, _):
        await store.put(HTTP_LISTENERS, "l", http_listener("l"))
        await trio.testing.wait_all_tasks_blocked()
        worker.has_retuned = trio.Event()
        await store.put(HTTP_LISTENERS, "l", http_listener("l", clientAuth="Need"))
        await trio.testing.wait_all_tasks_blocked()
        assert len(worker.retuned) == 1
        assert changing.settled < await revision(store)
        worker.has_retuned.set()
        await trio.testing.wait_all_tasks_blocked()
        assert changing.settled == await revision(store)
        # One that has no time for it keeps nobody waiting for ever.
        worker.has_retuned = trio.Event()
        await store.put(HTTP_LISTENERS, "l", http_listener("l", clientAuth="Want"))
        await trio.sleep(KNOWN_S * 2)
        assert changing.settled == await revision(store)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"tls": True, "http1": False, "http2": False}, "http1, http2 and http3 are all false"),
        ({"tls": False, "http1": False, "http2": True}, "http1 and h2c are all false"),
        ({"clientAuth": "Maybe"}, "clientAuth"),
        ({"port": 0}, "port"),
    ],
)
async def test_a_listener_that_makes_no_sense_opens_no_port_and_says_why(
    config: dict[str, Any],
    told: str,
    sockets: list[socket.socket],
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    del autojump_clock
    async with (
        MemoryStore() as store,
        followed(store, sockets, SlowWorker()) as (changing, listeners),
    ):
        await store.put(HTTP_LISTENERS, "odd", http_listener("odd", **config))
        await trio.testing.wait_all_tasks_blocked()
        assert listeners.current[1:] == ()
        assert changing.settled == await revision(store)
    assert "http-listeners odd opens no port" in caplog.text
    assert told in caplog.text


async def test_a_disabled_listener_has_no_port(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    worker = SlowWorker()
    worker.has_time.set()
    async with MemoryStore() as store, followed(store, sockets, worker) as (_, listeners):
        await store.put(HTTP_LISTENERS, "l", http_listener("l"))
        await trio.testing.wait_all_tasks_blocked()
        assert listeners.current[1:]
        await store.put(HTTP_LISTENERS, "l", http_listener("l", enabled=False))
        await trio.testing.wait_all_tasks_blocked()
        assert listeners.current[1:] == ()
        assert worker.released == worker.listens


async def test_what_is_stored_while_ports_are_being_closed_is_not_settled_with_them(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    worker = SlowWorker()
    seen: list[tuple[int, int]] = []
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        listeners = ListenerSet([Listener("standard-listener", False, tuple(sockets))], bind)

        def note() -> None:
            seen.append((changing.settled, len(listeners.current) - 1))

        changing = ChangingListeners(store, listeners, lambda: [worker], note)
        nursery.start_soon(changing.run)
        await store.put(HTTP_LISTENERS, "a", http_listener("a", port=11))
        await trio.testing.wait_all_tasks_blocked()
        await store.delete(HTTP_LISTENERS, "a")
        deleted = await revision(store)
        await trio.testing.wait_all_tasks_blocked()
        # The worker takes its time to let go of the first port.
        await store.put(HTTP_LISTENERS, "b", http_listener("b", port=12))
        stored = await revision(store)
        await trio.testing.wait_all_tasks_blocked()
        assert changing.settled < deleted < stored
        worker.has_time.set()
        await trio.sleep(RELEASE_S * 2)
        assert changing.settled == stored
        # Whoever looked in between did not find the second settled before its port was open.
        assert [count for settled, count in seen if settled >= stored] == [1]
        assert (deleted, 0) in seen
        nursery.cancel_scope.cancel()
    listeners.close_all()


def test_the_listener_of_this_gateway_that_has_the_port_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with listening(bind_listener("standard-listener", "127.0.0.1", 0, secured=False, slots=1)) as (
        fixed,
    ):
        listeners = ListenerSet([fixed])
        port = fixed.address[1]
        assert listeners.open(WantedListener("mine", "127.0.0.1", port)) is None
        assert f"port {port} is that of standard-listener (127.0.0.1)" in caplog.text
        assert len(listeners.failures) == 1
        listeners.compare([])
        assert not listeners.failures
