"""Whatever plugins look at messages, and however long each takes: order is kept, nothing is lost and nothing comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from oto_trio.gateway.websocket.limits import SocketLimits
from oto_trio.plugin_api import Message, Reject, WebSocketPlugin
from tests.unit.gateway.websocket.sides import BACKEND, CLIENT, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENDS: Final = Reject(4000, "enough", closes=True)
DROPS: Final = Reject(1008, "not this one")


class Rule(NamedTuple):
    """What a plugin does: to each message whose number the first figure divides it waits, and so on; 0 is never."""

    waits: int = 0
    pause_s: float = 0.0
    changes: int = 0
    drops: int = 0
    ends: int = 0
    fails: int = 0


def decided(rule: Rule, place: int, message: Message) -> Message | Reject | None:
    """Return what the plugin in a place makes of a message; the number stands in front."""
    number = number_of(message.data)
    if rule.ends and number % rule.ends == 0:
        return ENDS
    if rule.drops and number % rule.drops == 0:
        return DROPS
    if rule.fails and number % rule.fails == 0:
        raise LookupError(number)
    if rule.changes and number % rule.changes == 0:
        data = message.data
        mark = f" {place}"
        return Message(data + mark if isinstance(data, str) else data + mark.encode())
    return None


def number_of(data: str | bytes) -> int:
    text = data if isinstance(data, str) else data.decode()
    return int(text.split()[0])


class Quick(WebSocketPlugin):
    """Does as its rule says, to messages of either side."""

    id = "cp:test.Quick"
    name = "Quick"
    description = "Does as the test says."
    categories = ("Websocket",)

    def __init__(self, rule: Rule, place: int) -> None:
        super().__init__(None)
        self.rule = rule
        self.place = place

    @override
    def on_request_message(self, message: Message, opened: Any) -> Any:
        return decided(self.rule, self.place, message)

    @override
    def on_response_message(self, message: Message, opened: Any) -> Any:
        return decided(self.rule, self.place, message)


class Slow(Quick):
    """The same, and waits."""

    @override
    async def on_request_message(self, message: Message, opened: Any) -> Any:
        return await self._later(message)

    @override
    async def on_response_message(self, message: Message, opened: Any) -> Any:
        return await self._later(message)

    async def _later(self, message: Message) -> Message | Reject | None:
        if self.rule.waits and number_of(message.data) % self.rule.waits == 0:
            await trio.sleep(self.rule.pause_s)
        else:
            await trio.lowlevel.checkpoint()
        return decided(self.rule, self.place, message)


RARELY: Final = st.sampled_from([0, 0, 0, 0, 7, 11])
RULES: Final = st.builds(
    Rule,
    waits=st.integers(0, 4),
    pause_s=st.sampled_from([0.0, 0.1, 1.0, 7.0]),
    changes=st.integers(0, 4),
    drops=st.sampled_from([0, 0, 2, 3, 5]),
    ends=RARELY,
    fails=RARELY,
)
PLUGINS: Final = st.lists(st.tuples(RULES, st.booleans()), min_size=1, max_size=4)
KINDS: Final = st.sampled_from(["text", "binary", "ping", "pong", "text", "text"])


class Script(NamedTuple):
    """What one side says: kinds of frames, how many at once, and how long it waits in between."""

    kinds: list[str]
    chunk: int
    pause_s: float
    closes: bool


SCRIPTS: Final = st.builds(
    Script,
    kinds=st.lists(KINDS, max_size=25),
    chunk=st.integers(1, 9),
    pause_s=st.sampled_from([0.0, 0.05, 2.0]),
    closes=st.booleans(),
)


def events_of(script: Script) -> list[Event]:
    """Return what a side says; its messages are numbered from 1."""
    made: list[Event] = []
    for number, kind in enumerate(script.kinds, 1):
        match kind:
            case "text":
                made.append(TextMessage(f"{number}"))
            case "binary":
                made.append(BytesMessage(f"{number}".encode()))
            case "ping":
                made.append(Ping(f"{number}".encode()))
            case _:
                made.append(Pong(f"{number}".encode()))
    return made


def expected(rules: Sequence[Rule], events: Iterable[Event]) -> tuple[list[Any], bool]:
    """Return what arrives of what is said, by the plugins one after the other; and whether that ends the connection."""
    arrives: list[Any] = []
    for event in events:
        if isinstance(event, (Ping, Pong)):
            arrives.append(event)
            continue
        assert isinstance(event, (TextMessage, BytesMessage))
        data = event.data
        message: Message | None = Message(data if isinstance(data, str) else bytes(data))
        for place, rule in enumerate(rules):
            assert message is not None
            try:
                answer = decided(rule, place, message)
            except LookupError:
                return arrives, True
            if answer is ENDS:
                return arrives, True
            if answer is DROPS:
                message = None
                break
            if isinstance(answer, Message):
                message = answer
        if message is not None:
            arrives.append(message.data)
    return arrives, False


@settings(max_examples=200, deadline=None)
@given(made=PLUGINS, client=SCRIPTS, backend=SCRIPTS, slow=st.sets(st.sampled_from([1, 2])))
def test_messages_keep_their_order_and_number(
    made: list[tuple[Rule, bool]], client: Script, backend: Script, slow: set[int]
) -> None:
    rules = [rule for rule, _ in made]
    heard = trio.run(play, made, {CLIENT: client, BACKEND: backend}, slow, clock=clock())
    ends = False
    for one, other, script in ((CLIENT, BACKEND, client), (BACKEND, CLIENT, backend)):
        wanted, has_ended = expected(rules, events_of(script))
        ends |= has_ended
        got = heard[other]
        said = [frame for frame in got if not isinstance(frame, tuple)]
        # Of a connection that was closed before its time the rest is missing, and only that.
        assert said == wanted[: len(said)], (one, got, wanted)
        if not has_ended_early(rules, client, backend):
            assert said == wanted
            assert got[len(said) :] == ([(3000 + one, "")] if script.closes else [])
    if ends and not (client.closes or backend.closes):
        assert heard[CLIENT][-1] == heard[BACKEND][-1]
        assert heard[CLIENT][-1] in [(4000, "enough"), (1011, "internal_server_error")]


def has_ended_early(rules: Sequence[Rule], client: Script, backend: Script) -> bool:
    """Whether a plugin ends the connection, or a side closes while the other one may have more to say."""
    broken = any(expected(rules, events_of(script))[1] for script in (client, backend))
    return broken or client.closes or backend.closes


@settings(max_examples=100, deadline=None)
@given(made=PLUGINS, client=SCRIPTS)
def test_what_is_said_before_a_close_arrives_before_it(
    made: list[tuple[Rule, bool]], client: Script
) -> None:
    made = [(rule._replace(ends=0, fails=0), is_slow) for rule, is_slow in made]
    client = client._replace(closes=True)
    silent = Script([], 1, 0.0, closes=False)
    heard = trio.run(play, made, {CLIENT: client, BACKEND: silent}, set[int](), clock=clock())
    wanted, _ = expected([rule for rule, _ in made], events_of(client))
    assert heard[BACKEND] == [*wanted, (3001, "")]


def clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


async def play(
    made: list[tuple[Rule, bool]], scripts: dict[int, Script], slow: set[int]
) -> dict[int, list[Any]]:
    """Have both sides say what they have to; returns what each heard."""
    plugins = [
        Slow(rule, place) if is_slow else Quick(rule, place)
        for place, (rule, is_slow) in enumerate(made)
    ]
    async with trio.open_nursery() as nursery:
        stage = Stage(plugins, SocketLimits(waiting_bytes=200, waiting_frames=4), nursery)
        async with trio.open_nursery() as others:
            for other in slow:
                others.start_soon(read_slowly, stage, other)
            for one, script in scripts.items():
                others.start_soon(say, stage, one, script)
        await trio.sleep(1000)
        nursery.cancel_scope.cancel()
    return {other: stage.sides[other].take() for other in (CLIENT, BACKEND)}


async def say(stage: Stage, one: int, script: Script) -> None:
    """Say it, and wait while nobody reads."""
    events = events_of(script)
    if script.closes:
        events.append(CloseConnection(3000 + one))
    ws = stage.sides[one].ws
    for at in range(0, len(events), script.chunk):
        while stage.held(one):  # noqa: ASYNC110 (the clock is not the wall's)
            await trio.sleep(1)
        if stage.hung_up(one) or ws.state is not ConnectionState.OPEN:
            return
        stage.say(one, *events[at : at + script.chunk])
        await trio.sleep(script.pause_s)


async def read_slowly(stage: Stage, other: int) -> None:
    """Have a side take what it is sent now and then, for as long as anything may be sent."""
    for _ in range(200):
        stage.is_slow[other] = not stage.is_slow[other]
        if not stage.is_slow[other]:
            stage.end(other).writable(stage.now)
            stage.end(other).flush(stage.now)
        await trio.sleep(5)
