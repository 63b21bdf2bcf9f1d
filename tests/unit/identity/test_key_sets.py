"""Key sets are fetched once for all who wait, within bounds, and never raise for what others do."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import Any, Self

import httpx
import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from typing_extensions import override

from oto_trio.identity.key_sets import MAX_BODY_BYTES, KeySetCall, KeySetFetcher, fetcher

URL = "https://user:hush@keys.example/set?token=hush"
Handler = Callable[[httpx.Request], Any]


class Body(httpx.AsyncByteStream):
    """A body that comes from a socket: in pieces, once."""

    def __init__(self, *pieces: bytes, endless: bool = False) -> None:
        self._pieces = list(pieces)
        self._endless = endless

    @override
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._endless:
            return b"x" * 65536
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)


class Waiting:
    """An exchange that waits for a set."""

    def __init__(self) -> None:
        self.kept: list[bytes | None] = []

    def put_key_set(self, wanted: str, body: bytes | None, now: float, /) -> None:
        assert msgspec.json.decode(wanted)["url"] == URL
        assert 0 <= trio.current_time() - now < 1
        self.kept.append(body)
        if body == b"nonsense":
            raise ValueError("keys: the key set is no JSON object")


def made(handler: Handler) -> KeySetFetcher:
    """Make a fetcher whose calls end in a function."""
    return KeySetFetcher(lambda _: httpx.AsyncClient(transport=httpx.MockTransport(handler)))


def wanted(**more: Any) -> str:
    return msgspec.json.encode({"url": URL, **more}).decode()


async def test_a_set_is_fetched_with_the_headers_of_the_settings() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=Body(b'{"ke', b'ys":[]}'))

    exchange = Waiting()
    await made(answer).bring(exchange, wanted(headers={"X-A": "b"}, timeout=100, odd=1))
    assert exchange.kept == [b'{"keys":[]}']
    assert seen[0].headers["x-a"] == "b"


async def test_those_who_come_during_a_call_wait_for_its_end() -> None:
    gate = trio.Event()

    async def answer(_: httpx.Request) -> httpx.Response:
        await gate.wait()
        return httpx.Response(200, stream=Body(b"{}"))

    fetching = made(answer)
    exchanges = [Waiting() for _ in range(5)]
    async with trio.open_nursery() as nursery:
        for exchange in exchanges:
            nursery.start_soon(fetching.bring, exchange, wanted(timeout=60_000))
        await wait_all_tasks_blocked()
        assert fetching.calls == 1
        gate.set()
    assert [exchange.kept for exchange in exchanges].count([b"{}"]) == 1
    assert fetching.calls == 1


async def test_a_call_ends_with_its_client_and_the_next_one_makes_its_own() -> None:
    gate = trio.Event()

    async def answer(_: httpx.Request) -> httpx.Response:
        await gate.wait()
        return httpx.Response(200, stream=Body(b"{}"))

    fetching = made(answer)
    first, second = Waiting(), Waiting()
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def leave() -> None:
            with scope:
                await fetching.bring(first, wanted(timeout=60_000))

        async def stay() -> None:
            await fetching.bring(second, wanted(timeout=60_000))  # ends with the other's call
            gate.set()
            await fetching.bring(second, wanted(timeout=60_000))

        nursery.start_soon(leave)
        await wait_all_tasks_blocked()
        nursery.start_soon(stay)
        await wait_all_tasks_blocked()
        scope.cancel()
    assert first.kept == []
    assert second.kept == [b"{}"]
    assert fetching.calls == 2


async def test_a_call_that_takes_too_long_is_a_failure(autojump_clock: MockClock) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    exchange = Waiting()
    before = autojump_clock.current_time()
    await made(answer).bring(exchange, wanted(timeout=1500))
    assert exchange.kept == [None]
    assert autojump_clock.current_time() - before == pytest.approx(1.5)


def refuse(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


BAD_ANSWERS: list[Handler] = [
    lambda _: httpx.Response(503),
    lambda _: httpx.Response(302, headers={"Location": "https://other.example/"}),
    lambda _: httpx.Response(200, stream=Body(b"x" * (MAX_BODY_BYTES + 1))),
    lambda _: httpx.Response(200, stream=Body(endless=True)),
    refuse,
]


@pytest.mark.parametrize("handler", BAD_ANSWERS)
async def test_what_is_no_answer_is_a_failure_that_is_logged_without_secrets(
    handler: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = Waiting()
    await made(handler).bring(exchange, wanted(timeout=10_000))
    assert exchange.kept == [None]
    assert "https://keys.example/set could not be fetched" in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [Body(*[b"x" * 65536] * 9, b"y"), Body(endless=True), Body(b"x" * MAX_BODY_BYTES, b"y")],
    ids=["pieces", "endless", "one byte"],
)
async def test_a_set_that_is_too_long_leaves_nothing_behind(body: Body) -> None:
    exchange = Waiting()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        await made(lambda _: httpx.Response(200, stream=body)).bring(exchange, wanted())
        gc.collect()
    assert exchange.kept == [None]
    assert [str(warning.message) for warning in told] == []


async def test_a_set_that_is_just_short_enough_is_kept() -> None:
    exchange = Waiting()
    whole = b"x" * MAX_BODY_BYTES
    await made(lambda _: httpx.Response(200, stream=Body(whole[:-1], b"x"))).bring(
        exchange, wanted()
    )
    assert exchange.kept == [whole]


async def test_what_is_no_key_set_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    await made(lambda _: httpx.Response(200, stream=Body(b"nonsense"))).bring(Waiting(), wanted())
    assert "cannot be used: keys: the key set is no JSON object" in caplog.text


async def test_a_run_has_one_fetcher() -> None:
    assert fetcher() is fetcher()


def test_settings_have_otoroshis_defaults() -> None:
    assert msgspec.convert({"url": "u"}, KeySetCall).timeout == 2000


@pytest.mark.parametrize("more", [{"headers": None}, {"timeout": "soon"}, {"mtlsConfig": []}])
async def test_settings_that_cannot_be_used_are_a_failure_and_no_call(more: dict[str, Any]) -> None:
    exchange, fetching = Waiting(), made(lambda _: httpx.Response(200))
    await fetching.bring(exchange, wanted(**more))
    assert exchange.kept == [None]
    assert fetching.calls == 0


async def test_calls_with_other_settings_are_calls_of_their_own() -> None:
    """What is fetched without a check of the certificate is nothing to who asks for one."""
    gate = trio.Event()

    async def answer(_: httpx.Request) -> httpx.Response:
        await gate.wait()
        return httpx.Response(200, stream=Body(b"{}"))

    fetching, checked, lax = made(answer), Waiting(), Waiting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetching.bring, checked, wanted())
        nursery.start_soon(fetching.bring, lax, wanted(mtlsConfig={"mtls": True, "loose": True}))
        await wait_all_tasks_blocked()
        gate.set()
    assert (checked.kept, lax.kept, fetching.calls) == ([b"{}"], [b"{}"], 2)
