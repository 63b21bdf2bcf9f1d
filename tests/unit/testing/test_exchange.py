"""The fakes keep the promises of the plugin API."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from oto_trio.plugin_api import Answer, BodyTooLarge, Exchange, Phase, Plugin, Refusal, Response
from oto_trio.testing import (
    FakeExchange,
    FakeHeaders,
    FakeRequest,
    FakeResponseHead,
    call_hook,
    play,
)


class Trace(Plugin):
    """Notes its phases, and answers in one of them."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        super().__init__(None)
        self.answers = answers or {}
        self.seen: list[str] = []

    def _note(self, phase: str) -> Any:
        self.seen.append(phase)
        return self.answers.get(phase)

    @override
    def pre_route(self, exchange: Exchange) -> Answer:
        return self._note("pre_route")  # type: ignore[no-any-return]

    @override
    async def access(self, exchange: Exchange) -> Answer:
        return self._note("access")  # type: ignore[no-any-return]

    @override
    def transform_request(self, exchange: Exchange) -> Answer:
        return self._note("transform_request")  # type: ignore[no-any-return]

    @override
    async def call_backend(self, exchange: Exchange) -> Answer:
        return self._note("call_backend")  # type: ignore[no-any-return]

    @override
    def transform_response(self, exchange: Exchange) -> Answer:
        assert exchange.response is not None
        return self._note(f"transform_response {exchange.response.status}")  # type: ignore[no-any-return]

    @override
    def done(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        self._note(f"done {exchange.response.status}")


REQUEST = ["pre_route", "access", "transform_request", "call_backend"]


@pytest.mark.parametrize(
    ("answers", "seen", "answer"),
    [
        ({}, [*REQUEST, "transform_response 200", "done 200"], None),
        ({"access": Refusal(403, "no")}, ["pre_route", "access", "done 403"], Refusal(403, "no")),
        (
            {"call_backend": Response(201)},
            [*REQUEST, "transform_response 201", "done 201"],
            Response(201),
        ),
        (
            {"transform_response 200": Response(502)},
            [*REQUEST, "transform_response 200", "done 502"],
            Response(502),
        ),
    ],
)
async def test_an_exchange_is_played_like_the_engine_does(
    answers: dict[str, Any], seen: list[str], answer: Answer
) -> None:
    plugin = Trace(answers)
    assert await play(plugin, FakeExchange()) == answer
    assert plugin.seen == seen


async def test_the_backends_head_is_what_the_response_phases_see() -> None:
    exchange = FakeExchange()
    await play(Trace(), exchange, FakeResponseHead(404, {"A": "b"}))
    assert exchange.response is not None
    assert exchange.response.headers.items() == [("A", "b")]


async def test_nonsense_is_no_answer() -> None:
    with pytest.raises(TypeError, match="access returned a bool"):
        await call_hook(Trace({"access": True}), Phase.ACCESS, FakeExchange())


def test_an_exchange_is_made_of_a_url() -> None:
    exchange = FakeExchange.of("PUT", "https://API.localhost:8443?a=b", [("X", "1"), ("X", "2")])
    request = exchange.request
    assert exchange.secured
    assert (request.method, request.path, request.query) == ("PUT", "/", "a=b")
    assert (request.host, request.domain) == ("API.localhost:8443", "api.localhost")
    assert request.headers.get_all("x") == ["1", "2"]
    assert not request.has_body


async def test_a_body_is_read_under_a_limit() -> None:
    request = FakeRequest(body=b"1234")
    assert request.has_body
    assert await request.read(4) == b"1234"
    with pytest.raises(BodyTooLarge):
        await request.read(3)
    response = FakeResponseHead(body=b"1234")
    assert await response.read(4) == b"1234"
    with pytest.raises(BodyTooLarge):
        await response.read(3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a b", "c"),
        ("", "c"),
        ("a", "b\n"),
        ("a", "€"),
        ("Content-Length", "3"),
        ("connection", "close"),
    ],
)
def test_what_the_engine_refuses_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="header"):
        FakeHeaders().set(name, value)


NAMES = st.sampled_from(["a", "A", "b"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), NAMES, st.sampled_from("12")),
        st.tuples(st.just("add"), NAMES, st.sampled_from("12")),
        st.tuples(st.just("remove"), NAMES, st.just("")),
    )
)


@given(CHANGES)
def test_headers_behave_like_a_map_of_lists(changes: list[tuple[str, str, str]]) -> None:
    headers = FakeHeaders()
    model: dict[str, list[str]] = {"a": [], "b": []}
    for change, name, value in changes:
        values = model[name.lower()]
        if change == "remove":
            assert headers.remove(name) == bool(values)
            values.clear()
        elif change == "set":
            headers.set(name, value)
            values[:] = [value]
        else:
            headers.add(name, value)
            values.append(value)
        for known, wanted in model.items():
            assert headers.get_all(known.upper()) == wanted
            assert headers.get(known) == (wanted[0] if wanted else None)
            assert (known in headers) == bool(wanted)
    assert len(headers.items()) == sum(map(len, model.values()))
    assert 3 not in headers
