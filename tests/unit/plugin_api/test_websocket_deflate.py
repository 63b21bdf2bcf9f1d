"""What is offered, answered and agreed on about compression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from typing_extensions import override

from oto_trio.plugin_api import WebSocketPlugin
from oto_trio.plugin_api.answers import Refusal
from oto_trio.plugin_api.websocket_deflate import (
    CONTEXTS,
    FIELD,
    OFFER,
    Deflate,
    accept_offer,
    read_answer,
)
from oto_trio.plugin_api.websockets import Watch
from oto_trio.testing.exchange import FakeExchange, FakeHeaders, FakeResponseHead

if TYPE_CHECKING:
    from oto_trio.plugin_api.exchange import Exchange

NAME = "permessage-deflate"
BITS = "server_max_window_bits=12"
OWN = f"{NAME}; {BITS}"


class Looking(WebSocketPlugin):
    id = "cp:test.Looking"
    name = "Looking"
    description = "Looks at messages."
    categories = ("Websocket",)


class Marking(Looking):
    """Has a hook of its own, and leaves out that of the base."""

    @override
    def transform_response(self, exchange: Exchange) -> Refusal | None:
        assert exchange.response is not None
        exchange.response.headers.set("X-Seen", "yes")
        return None


class Waiting(Looking):
    """Likewise one that waits."""

    @override
    async def transform_response(self, exchange: Exchange) -> Refusal | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        await trio.lowlevel.checkpoint()
        assert exchange.response is not None
        exchange.response.headers.set("X-Seen", "yes")
        return None


class Refusing(Looking):
    """Answers itself."""

    @override
    def transform_response(self, exchange: Exchange) -> Refusal | None:
        return Refusal(403, "no")


def headers(*values: str) -> FakeHeaders:
    return FakeHeaders([(FIELD, value) for value in values])


@pytest.mark.parametrize(
    ("offered", "answer", "deflate"),
    [
        (NAME, OWN, Deflate(15, False, 12, False)),
        (
            f"{NAME}; client_max_window_bits",
            f"{OWN}; client_max_window_bits=12",
            Deflate(12, False, 12, False),
        ),
        (
            f'{NAME}; client_max_window_bits="9" ;server_max_window_bits = 10',
            f"{NAME}; server_max_window_bits=10; client_max_window_bits=9",
            Deflate(9, False, 10, False),
        ),
        (
            f"{NAME}; server_max_window_bits=15; client_max_window_bits=15",
            f"{OWN}; client_max_window_bits=12",
            Deflate(12, False, 12, False),
        ),
        (
            f"{NAME}; server_max_window_bits=8",
            f"{NAME}; server_max_window_bits=8",
            Deflate(15, False, 8, False),
        ),
        (
            f"{NAME}; server_no_context_takeover; client_no_context_takeover",
            f"{NAME}; server_no_context_takeover; client_no_context_takeover; {BITS}",
            Deflate(15, True, 12, True),
        ),
        (f"x-other, {NAME}", OWN, Deflate()),
        (f"x-other; a=b, ,{NAME}", OWN, Deflate()),
        # The first that can be kept is taken.
        (f"{NAME}; server_max_window_bits=16, {NAME}", OWN, Deflate()),
        (
            f"{NAME}; server_no_context_takeover, {NAME}",
            f"{NAME}; server_no_context_takeover; server_max_window_bits=12",
            Deflate(15, False, 12, True),
        ),
    ],
)
def test_an_offer_is_taken(offered: str, answer: str, deflate: Deflate) -> None:
    assert accept_offer(headers(offered)) == (deflate, answer)


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "x-other",
        "permessage-bzip2",
        NAME.upper(),
        f"{NAME}; unheard_of",
        f"{NAME}; server_no_context_takeover=1",
        f"{NAME}; client_no_context_takeover=true",
        *(f"{NAME}; server_max_window_bits{more}" for more in ("", "=", "=7", "=16", "=09", "=x")),
        *(f"{NAME}; client_max_window_bits={value}" for value in ("", "7", "16", "08", '"')),
        f"{NAME}; client_max_window_bits; client_max_window_bits=9",
        f"{NAME}; server_no_context_takeover; server_no_context_takeover",
        f"{NAME};",
        f"{NAME} x",
        f"{NAME}; a b",
        f"x-other; a=b;, {NAME}",
        "; a",
        "é",
    ],
)
def test_what_is_no_offer_that_can_be_kept_is_left(offered: str) -> None:
    assert accept_offer(headers(offered)) is None


def test_offers_may_be_in_several_fields() -> None:
    assert accept_offer(headers("x-other", NAME)) == (Deflate(), OWN)
    assert accept_offer(FakeHeaders([])) is None


@pytest.mark.parametrize(
    ("answer", "deflate"),
    [
        (NAME, Deflate(15, False, 12, False)),
        (f"{NAME}; server_max_window_bits=9", Deflate(9, False, 12, False)),
        (f"{NAME}; client_max_window_bits=10", Deflate(15, False, 10, False)),
        (f"{NAME}; client_max_window_bits=15", Deflate(15, False, 12, False)),
        (f"{NAME}; client_max_window_bits=8", Deflate(15, False, 8, False)),
        (
            f"{NAME}; client_no_context_takeover; server_no_context_takeover",
            Deflate(15, True, 12, True),
        ),
    ],
)
def test_an_answer_is_read(answer: str, deflate: Deflate) -> None:
    assert read_answer(headers(answer)) == deflate


def test_no_answer_is_no_compression() -> None:
    assert read_answer(FakeHeaders([])) is None


@pytest.mark.parametrize(
    "answer",
    [
        "x-other",
        f"{NAME}, x-other",
        f"{NAME}, {NAME}",
        f"{NAME}; client_max_window_bits",
        f"{NAME}; server_max_window_bits",
        f"{NAME}; client_max_window_bits=16",
        f"{NAME}; unheard_of",
        f"{NAME}; server_no_context_takeover=1",
        f"{NAME};;",
    ],
)
def test_an_answer_to_what_was_not_offered_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_answer(headers(answer))


def shaken(offered: str | None, answered: str | None) -> tuple[FakeExchange, Refusal | None]:
    """The handshake of a client that offers this with a backend that answers that."""
    sent = {} if offered is None else {FIELD: offered}
    exchange = FakeExchange.of("GET", "https://api.localhost/chat", sent)
    exchange.request.upgrade = "websocket"
    first, second = Looking(None), Looking(None)
    for plugin in (first, second, first, second):  # the request may be sent again
        plugin.transform_request(exchange)
    head = [] if answered is None else [(FIELD, answered)]
    exchange.response = FakeResponseHead(101, head)
    answer = first.transform_response(exchange)
    assert second.transform_response(exchange) is None
    return exchange, answer


def told(exchange: FakeExchange) -> str | None:
    assert exchange.response is not None
    return exchange.response.headers.get(FIELD)


def agreed(exchange: FakeExchange) -> tuple[Deflate | None, Deflate | None]:
    watch = exchange.watched
    assert isinstance(watch, Watch)
    return watch.client_deflate, watch.backend_deflate


def test_each_side_agrees_for_itself() -> None:
    exchange, answer = shaken(NAME, None)
    assert answer is None
    assert exchange.request.headers.get_all(FIELD) == [OFFER]
    assert told(exchange) == OWN
    assert agreed(exchange) == (Deflate(), None)
    exchange, answer = shaken(NAME, f"{NAME}; server_max_window_bits=9")
    assert answer is None
    assert told(exchange) == OWN
    assert agreed(exchange) == (Deflate(), Deflate(9))


@pytest.mark.parametrize("offered", [None, "x-other", f"{NAME}; unheard_of"])
def test_without_an_offer_that_can_be_kept_the_backend_gets_none(offered: str | None) -> None:
    exchange, answer = shaken(offered, None)
    assert answer is None
    assert FIELD not in exchange.request.headers
    assert told(exchange) is None
    assert agreed(exchange) == (None, None)


@pytest.mark.parametrize(
    ("offered", "answered"), [(None, NAME), (NAME, "x-other"), (None, "x-other")]
)
def test_a_backend_that_agrees_to_what_was_not_offered_fails(
    offered: str | None, answered: str
) -> None:
    _, answer = shaken(offered, answered)
    assert isinstance(answer, Refusal)
    assert answer.status == 502
    assert "not offered" in answer.message


def test_while_contexts_hold_too_much_nobody_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONTEXTS, "held_bytes", CONTEXTS.most_bytes)
    exchange, _ = shaken(NAME, None)
    assert FIELD not in exchange.request.headers
    assert agreed(exchange) == (None, None)


def test_what_is_agreed_while_contexts_come_to_hold_too_much_is_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There was room when the client asked; the backend has agreed."""
    exchange = FakeExchange.of("GET", "https://api.localhost/chat", {FIELD: NAME})
    exchange.request.upgrade = "websocket"
    plugin = Looking(None)
    plugin.transform_request(exchange)
    monkeypatch.setattr(CONTEXTS, "held_bytes", CONTEXTS.most_bytes)
    exchange.response = FakeResponseHead(101, [(FIELD, NAME)])
    assert plugin.transform_response(exchange) is None
    assert told(exchange) is None
    assert agreed(exchange) == (None, Deflate())


@pytest.mark.parametrize("kind", [Marking, Waiting])
async def test_a_plugin_with_a_hook_for_the_response_agrees_all_the_same(
    kind: type[Looking],
) -> None:
    plugin = kind(None)
    exchange = FakeExchange.of("GET", "https://api.localhost/chat", {FIELD: NAME})
    exchange.request.upgrade = "websocket"
    plugin.transform_request(exchange)
    for answered, status in ((f"{NAME}; server_max_window_bits=9", None), ("x-other", 502)):
        exchange.response = FakeResponseHead(101, [(FIELD, answered)])
        answer: Any = plugin.transform_response(exchange)
        if kind is Waiting:
            answer = await answer
        assert (answer and answer.status) == status
        assert exchange.response.headers.get("X-Seen") == "yes"
        if status is None:
            assert told(exchange) == OWN
            assert agreed(exchange) == (Deflate(), Deflate(9))
        watch: Any = exchange.watched
        assert watch.is_answered
        watch.is_answered = False


def test_a_plugin_that_answers_the_response_itself_does_so() -> None:
    plugin = Refusing(None)
    exchange = FakeExchange.of("GET", "https://api.localhost/chat", {FIELD: NAME})
    exchange.request.upgrade = "websocket"
    plugin.transform_request(exchange)
    exchange.response = FakeResponseHead(101, [])
    assert plugin.transform_response(exchange) == Refusal(403, "no")
    assert told(exchange) is None


def test_other_protocols_agree_on_nothing() -> None:
    exchange = FakeExchange.of("GET", "https://api.localhost/", {FIELD: NAME})
    exchange.request.upgrade = "h2c"
    Looking(None).transform_request(exchange)
    assert FIELD not in exchange.request.headers


def test_the_memory_of_contexts_is_told() -> None:
    assert Deflate(15, False, 12, False).memory < 90 * 1024
    assert Deflate(9, False, 9, False).memory < 40 * 1024
