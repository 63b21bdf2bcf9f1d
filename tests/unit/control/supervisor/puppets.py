"""Workers that do what a test says, and a supervisor that keeps them."""

import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from oto_trio.control.store import MemoryStore
from oto_trio.control.supervisor.launch import Inherited, Running
from oto_trio.control.supervisor.listening import Listener
from oto_trio.control.supervisor.supervision import Supervisor
from oto_trio.control.supervisor.worker_settings import WorkerSettings
from oto_trio.gateway.frames import (
    PROTOCOL,
    Applied,
    DownFrame,
    Draining,
    Hello,
    ProblemReport,
    Ready,
    Start,
    UpFrame,
)
from oto_trio.gateway.link import Link, supervisor_end, worker_end


class Puppet:
    """The other end of one worker's link."""

    def __init__(self, number: int, sockets: Sequence[Inherited]) -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        self.pid = 1000 + number
        self.link: Link[UpFrame, DownFrame] = supervisor_end(ours)
        self.worker: Link[DownFrame, UpFrame] = worker_end(theirs)
        self.descriptors = [sock.fileno() for sock in sockets]
        self.heard: list[DownFrame] = []
        self.news = trio.Event()
        self.killed = trio.Event()
        self.how = "with status 0"

    async def wait(self) -> str:
        return self.how

    def kill(self) -> None:
        self.killed.set()
        self.how = "by SIGKILL"

    # -- what a test lets it do

    async def say(self, *frames: UpFrame) -> None:
        for frame in frames:
            await self.worker.send(frame)
        await trio.testing.wait_all_tasks_blocked()

    async def get_ready(self, revision: int = 0) -> None:
        await self.say(Hello(PROTOCOL, self.pid), Applied(revision, 0), Ready())

    async def end(self, how: str = "with status 1") -> None:
        self.how = how
        await self.worker.aclose()
        await trio.testing.wait_all_tasks_blocked()

    async def drained(self) -> None:
        await self.say(Draining({}, finished=True, dropped=False))
        await self.end("with status 0")

    @property
    def start(self) -> Start:
        assert isinstance(self.heard[0], Start)
        return self.heard[0]

    def heard_of(self, kind: type) -> list[Any]:
        return [frame for frame in self.heard if isinstance(frame, kind)]


class Puppets:
    """Launches puppets instead of workers."""

    def __init__(self) -> None:
        self.launched: list[Puppet] = []
        self.refuse: OSError | None = None
        self.on_launch: Callable[[Puppet], object] = lambda _: None
        self.news = trio.Event()

    @asynccontextmanager
    async def launch(self, sockets: Sequence[Inherited]) -> AsyncGenerator[Running]:
        if self.refuse is not None:
            raise self.refuse
        puppet = Puppet(len(self.launched), sockets)
        self.launched.append(puppet)
        self.news.set()
        self.news = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, puppet)
            nursery.start_soon(self._hang_up, puppet)
            self.on_launch(puppet)
            try:
                yield puppet
            finally:
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await puppet.link.aclose()

    async def _listen(self, puppet: Puppet) -> None:
        try:
            while True:
                puppet.heard.append(await puppet.worker.receive())
        except Exception:  # noqa: BLE001 (either end was closed)
            return

    async def _hang_up(self, puppet: Puppet) -> None:
        await puppet.killed.wait()
        await puppet.worker.aclose()


class Stage:
    def __init__(self, supervisor: Supervisor, puppets: Puppets, store: MemoryStore) -> None:
        self.supervisor = supervisor
        self.puppets = puppets
        self.store = store
        self.problems: list[ProblemReport] = []
        self.records: list[tuple[float, bytes]] = []
        self.started = trio.Event()
        self.nursery: trio.Nursery | None = None

    @property
    def launched(self) -> list[Puppet]:
        return self.puppets.launched

    async def settled(self) -> None:
        await trio.testing.wait_all_tasks_blocked()

    async def until_launched(self, count: int) -> None:
        while len(self.launched) < count:
            await self.puppets.news.wait()

    async def store_up_to(self, revision: int) -> None:
        """Store something until the store has a revision."""
        while (await self.store.snapshot(())).revision < revision:
            await self.store.put("routes", "r", b"{}")
        await self.settled()

    def begin(self, function: Callable[..., Any], *args: object) -> None:
        assert self.nursery is not None
        self.nursery.start_soon(function, *args)


@asynccontextmanager
async def supervised(
    sockets: list[socket.socket],
    *,
    is_recording: bool = False,
    settings: WorkerSettings | None = None,
) -> AsyncGenerator[Stage]:
    """A supervisor whose workers, one a socket, were launched and wait for what the test says."""
    puppets = Puppets()
    records: list[tuple[float, bytes]] = []

    def take(unix_offset_s: float, batch: bytes) -> None:
        records.append((unix_offset_s, batch))

    problems: list[ProblemReport] = []
    listener = Listener("standard-listener", False, tuple(sockets))
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        supervisor = Supervisor(
            store,
            puppets,
            [listener],
            settings or WorkerSettings(),
            on_records=take if is_recording else None,
            on_problem=problems.append,
        )
        stage = Stage(supervisor, puppets, store)
        stage.records, stage.problems, stage.nursery = records, problems, nursery

        async def run() -> None:
            await nursery.start(supervisor.run)
            stage.started.set()

        nursery.start_soon(run)
        await stage.settled()
        yield stage
        nursery.cancel_scope.cancel()
