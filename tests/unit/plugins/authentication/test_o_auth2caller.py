"""OAuth2Caller."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
import pytest
import trio

from oto_trio.plugin_api import Phase, Response
from oto_trio.plugins.authentication.o_auth2caller import OAuth2Caller, OAuth2CallerConfig
from oto_trio.testing import FakeExchange, FakeResponseHead, call_hook
from tests.conformance.http1.upstream import Recorder, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from trio.testing import MockClock

    from tests.conformance.http1.messages import RequestSeen


def answering(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def numbered(*lifetimes: float | None) -> Callable[[RequestSeen], bytes]:
    """Answer with the tokens t1, t2... and these lifetimes in seconds."""
    left = list(enumerate(lifetimes, 1))

    def answer(_request: RequestSeen) -> bytes:
        number, expires = left.pop(0)
        told: dict[str, Any] = {"access_token": f"t{number}"}
        return answering(msgspec.json.encode(told | ({"expires_in": expires} if expires else {})))

    return answer


@asynccontextmanager
async def endpoint(answer: Callable[[RequestSeen], bytes]) -> AsyncGenerator[tuple[str, Recorder]]:
    """Run a token endpoint; yields its address and what it sees."""
    upstream = await Upstream.open()
    recorder = Recorder(upstream, answer)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder.run)
            yield f"http://127.0.0.1:{upstream.port}/token", recorder
            nursery.cancel_scope.cancel()
    await upstream.close()


async def sent(plugin: OAuth2Caller, header: str = "Authorization") -> str | None:
    exchange = FakeExchange()
    assert await call_hook(plugin, Phase.TRANSFORM_REQUEST, exchange) is None
    return exchange.request.headers.get(header)


async def test_a_token_is_fetched_once_and_used_again() -> None:
    async with endpoint(numbered(300)) as (url, recorder):
        config = OAuth2CallerConfig(
            url=url, client_id="me", client_secret="s", scope="a b", audience="api"
        )
        plugin = OAuth2Caller(config)
        assert [await sent(plugin) for _ in range(3)] == ["Bearer t1"] * 3
        (request,) = recorder.requests
    assert request.method == b"POST"
    assert {name: value for name, (value,) in parse_qs(request.body.decode()).items()} == {
        "grant_type": "client_credentials",
        "client_id": "me",
        "client_secret": "s",
        "scope": "a b",
        "audience": "api",
    }


async def test_exchanges_that_come_together_share_one_call() -> None:
    async with endpoint(numbered(300)) as (url, recorder):
        plugin, seen = OAuth2Caller(OAuth2CallerConfig(url=url)), list[str | None]()

        async def one() -> None:
            seen.append(await sent(plugin))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one)
        assert seen == ["Bearer t1"] * 20
        assert len(recorder.requests) == 1


async def test_who_leaves_while_a_token_is_fetched_does_not_keep_the_others() -> None:
    async with endpoint(numbered(300, 300)) as (url, _):
        plugin = OAuth2Caller(OAuth2CallerConfig(url=url))
        with trio.CancelScope() as scope:
            scope.cancel()
            await sent(plugin)
        assert scope.cancelled_caught
        assert (await sent(plugin) or "").startswith("Bearer t")


async def test_a_token_that_ended_or_was_refused_is_replaced() -> None:
    async with endpoint(numbered(0.000001, 300, 300)) as (url, _):
        plugin = OAuth2Caller(
            OAuth2CallerConfig(url=url, header_name="X-T", header_value_format="%s")
        )
        assert await sent(plugin, "X-T") == "t1"
        assert await sent(plugin, "X-T") == "t2"
        assert await answered(plugin, 200) == "t2"
        assert await sent(plugin, "X-T") == "t2"
        assert await answered(plugin, 401) == "t2"
        assert await sent(plugin, "X-T") == "t3"


async def answered(plugin: OAuth2Caller, *statuses: int) -> str | None:
    """Have the backend answer requests with one token, all of them before the first answer."""
    exchanges = [FakeExchange(response=FakeResponseHead(status)) for status in statuses]
    for exchange in exchanges:
        assert await call_hook(plugin, Phase.TRANSFORM_REQUEST, exchange) is None
    for exchange in exchanges:
        assert await call_hook(plugin, Phase.TRANSFORM_RESPONSE, exchange) is None
    return exchanges[0].request.headers.get("X-T")


async def test_a_late_refusal_does_not_drop_a_token_that_is_newer() -> None:
    async with endpoint(numbered(300, 300)) as (url, recorder):
        plugin = OAuth2Caller(
            OAuth2CallerConfig(url=url, header_name="X-T", header_value_format="%s")
        )
        late = FakeExchange(response=FakeResponseHead(401))
        assert await call_hook(plugin, Phase.TRANSFORM_REQUEST, late) is None
        await answered(plugin, 401)
        assert await sent(plugin, "X-T") == "t2"
        assert await call_hook(plugin, Phase.TRANSFORM_RESPONSE, late) is None
        assert await sent(plugin, "X-T") == "t2"
        assert len(recorder.requests) == 2


@pytest.mark.parametrize("may", [True, False])
async def test_a_refused_request_is_sent_once_more_with_another_token(*, may: bool) -> None:
    async with endpoint(numbered(300, 300, 300)) as (url, recorder):
        plugin = OAuth2Caller(
            OAuth2CallerConfig(url=url, header_name="X-T", header_value_format="%s")
        )
        exchange = FakeExchange(response=FakeResponseHead(401))
        exchange.may_ask_again = may
        assert await call_hook(plugin, Phase.TRANSFORM_REQUEST, exchange) is None
        for _ in range(2):
            assert await call_hook(plugin, Phase.TRANSFORM_RESPONSE, exchange) is None
        assert exchange.request.headers.get("X-T") == ("t2" if may else "t1")
        assert exchange.asked_again == may
        assert len(recorder.requests) == 1 + may
        assert "t2" in exchange.hidden or not may


async def test_without_another_token_the_backends_refusal_stands() -> None:
    answers = [answering(b'{"access_token":"t1"}'), answering(b"no more", 503)]
    async with endpoint(lambda _: answers.pop(0)) as (url, _):
        plugin = OAuth2Caller(OAuth2CallerConfig(url=url))
        exchange = FakeExchange(response=FakeResponseHead(401))
        exchange.may_ask_again = True
        assert await call_hook(plugin, Phase.TRANSFORM_REQUEST, exchange) is None
        assert await call_hook(plugin, Phase.TRANSFORM_RESPONSE, exchange) is None
        assert exchange.asked_again == 0


def refreshing(request: RequestSeen) -> bytes:
    """Answer every question with what it asked by, as a token that ends at once."""
    asked = {name: value for name, (value,) in parse_qs(request.body.decode()).items()}
    by = asked.get("refresh_token", "secret")
    if by == "r2":
        return answering(b"it has ended", 400)
    told = {"access_token": f"by-{by}", "expires_in": 0.000001}
    return answering(
        msgspec.json.encode(told | {"refresh_token": "r1" if by == "secret" else "r2"})
    )


async def test_a_token_is_renewed_by_its_refresh_token_and_anew_when_that_has_ended() -> None:
    async with endpoint(refreshing) as (url, recorder):
        plugin = OAuth2Caller(OAuth2CallerConfig(url=url, client_id="me", scope="a"))
        got = [await sent(plugin) for _ in range(3)]
        kinds = [parse_qs(request.body.decode())["grant_type"][0] for request in recorder.requests]
        second = parse_qs(recorder.requests[1].body.decode())
    assert got == ["Bearer by-secret", "Bearer by-r1", "Bearer by-secret"]
    assert kinds == ["client_credentials", "refresh_token", "refresh_token", "client_credentials"]
    assert (second["client_id"], second["refresh_token"]) == (["me"], ["r1"])
    assert "scope" not in second


async def test_a_refresh_token_stays_good_when_the_answer_has_no_other() -> None:
    def answer(request: RequestSeen) -> bytes:
        told: dict[str, Any] = {"access_token": "t", "expires_in": 0.000001}
        if b"grant_type=client_credentials" in request.body:
            told["refresh_token"] = "r"
        return answering(msgspec.json.encode(told))

    async with endpoint(answer) as (url, recorder):
        plugin = OAuth2Caller(OAuth2CallerConfig(url=url))
        for _ in range(3):
            await sent(plugin)
        asked = [b"refresh_token=r" in request.body for request in recorder.requests]
    assert asked == [False, True, True]


async def test_a_failure_is_shared_for_a_second_and_then_forgotten(mock_clock: MockClock) -> None:
    answers = [answering(b"down", 503), answering(b'{"access_token":"t"}')]
    async with endpoint(lambda _: answers.pop(0)) as (url, recorder):
        plugin, refused = OAuth2Caller(OAuth2CallerConfig(url=url)), list[object]()

        async def one() -> None:
            refused.append(await call_hook(plugin, Phase.TRANSFORM_REQUEST, FakeExchange()))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(one)
        assert [isinstance(answer, Response) for answer in refused] == [True] * 5
        assert len(recorder.requests) == 1
        mock_clock.jump(1.05)
        assert await sent(plugin) == "Bearer t"


@pytest.mark.parametrize(
    ("kind", "fields", "login"),
    [
        ("password", {"username", "password", "client_id", "client_secret"}, False),
        ("password_with_basic_auth", {"username", "password"}, True),
    ],
)
async def test_a_token_can_be_asked_for_with_a_password(
    kind: Any, fields: set[str], login: bool
) -> None:
    form = b"access_token=t&expires_in=60&token_type=bearer"
    async with endpoint(lambda _: answering(form)) as (url, recorder):
        config = OAuth2CallerConfig(kind, url, user="u", password="p", json_payload=True)
        assert await sent(OAuth2Caller(config)) == "Bearer t"
        (request,) = recorder.requests
    asked = msgspec.json.decode(request.body)
    assert asked.pop("grant_type") == "password"
    assert set(asked) == fields
    assert (b"authorization" in dict(request.headers)) is login


@pytest.mark.parametrize(
    ("answer", "status", "description"),
    [
        (answering(b"no such client", 403), 403, "no such client"),
        (answering(b"{}"), 502, "no access_token"),
        (answering(b"\xff"), 502, "no access_token"),
        (answering(b'{"access_token":"a\\r\\nb"}'), 502, "header"),
        (answering(b"x" * 70_000), 502, "could not be asked"),
        (b"nonsense\r\n\r\n", 502, "could not be asked"),
    ],
)
async def test_without_a_token_the_exchange_is_answered_with_401(
    answer: bytes, status: int, description: str
) -> None:
    async with endpoint(lambda _: answer) as (url, _):
        plugin = OAuth2Caller(OAuth2CallerConfig(url=url, client_secret="planted"))
        refused = await call_hook(plugin, Phase.TRANSFORM_REQUEST, FakeExchange())
    assert isinstance(refused, Response)
    assert refused.status == 401
    told = msgspec.json.decode(refused.body)
    assert (told["error"], told["error_status"]) == ("unauthorized", status)
    assert description in told["error_description"]
    assert b"planted" not in refused.body


@pytest.mark.parametrize("config", [{"url": "ftp://a"}, {"header_name": "Connection"}])
def test_a_config_that_cannot_work_is_refused_when_it_is_read(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"url|headerName"):
        OAuth2CallerConfig(**config)
