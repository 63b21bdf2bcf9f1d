"""What workers are told of listeners that come and go."""

from __future__ import annotations

import socket

import trio
import trio.testing

from oto_trio.control.store import MemoryStore
from oto_trio.control.supervisor.changing_listeners import RELEASE_S, ChangingListeners
from oto_trio.control.supervisor.listeners import ListenerSet
from oto_trio.control.supervisor.listening import Listener
from oto_trio.model.tcp_service import TCP_SERVICES

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

    async def listen(self, listener: Listener) -> None:
        self.listens.append(listener.token)

    async def unlisten(self, listener: Listener) -> None:
        await self.has_time.wait()
        self.released.append(listener.token)

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
        assert changing.behind is None
        assert opened.sockets[0].fileno() == -1
        worker.has_time.set()
        await trio.testing.wait_all_tasks_blocked()
        assert worker.released == worker.listens
        nursery.cancel_scope.cancel()
    listeners.close_all()
