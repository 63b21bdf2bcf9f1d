"""The resolver: names in, addresses out, and never too much at once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from oto_trio.gateway.resolver import (
    LOOKUP_TIMEOUT_S,
    LOOKUPS,
    WAITING,
    Lookup,
    Resolver,
    system_lookup,
)


class Stage:
    def __init__(self, lookup: Lookup) -> None:
        self.given: list[tuple[str, list[str]]] = []
        self.resolver = Resolver(lambda name, found: self.given.append((name, found)), lookup)


@asynccontextmanager
async def resolving(lookup: Lookup) -> AsyncGenerator[Stage]:
    stage = Stage(lookup)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.resolver.run)
        await trio.testing.wait_all_tasks_blocked()
        yield stage
        nursery.cancel_scope.cancel()


async def test_addresses_are_given_back() -> None:
    async def lookup(hostname: str) -> list[str]:
        return ["192.0.2.1", "192.0.2.2"]

    async with resolving(lookup) as stage:
        stage.resolver.ask("backend.test")
        await trio.testing.wait_all_tasks_blocked()
        assert stage.given == [("backend.test", ["192.0.2.1", "192.0.2.2"])]
        assert stage.resolver.failures == 0


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
async def test_a_failed_lookup_gives_no_address_and_the_next_one_works(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [error]

    async def lookup(hostname: str) -> list[str]:
        if errors:
            raise errors.pop()
        return ["192.0.2.1"]

    async with resolving(lookup) as stage:
        stage.resolver.ask("a.test")
        await trio.testing.wait_all_tasks_blocked()
        stage.resolver.ask("a.test")
        await trio.testing.wait_all_tasks_blocked()
        assert stage.given == [("a.test", []), ("a.test", ["192.0.2.1"])]
        assert stage.resolver.failures == 1
    assert str(error) in caplog.text


async def test_a_lookup_that_hangs_has_a_deadline(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def lookup(hostname: str) -> list[str]:
        await trio.sleep(LOOKUP_TIMEOUT_S * 10)
        return ["192.0.2.1"]

    async with resolving(lookup) as stage:
        stage.resolver.ask("slow.test")
        await trio.sleep(LOOKUP_TIMEOUT_S + 0.1)
        assert stage.given == [("slow.test", [])]
    assert "no answer within 5 s" in caplog.text


async def test_a_name_is_looked_up_once_however_often_it_is_asked() -> None:
    asked: list[str] = []
    answer = trio.Event()

    async def lookup(hostname: str) -> list[str]:
        asked.append(hostname)
        await answer.wait()
        return ["192.0.2.1"]

    async with resolving(lookup) as stage:
        for _ in range(10):
            stage.resolver.ask("a.test")
        await trio.testing.wait_all_tasks_blocked()
        stage.resolver.ask("a.test")
        answer.set()
        await trio.testing.wait_all_tasks_blocked()
        assert asked == ["a.test"]
        assert len(stage.given) == 1


async def test_only_so_many_are_looked_up_at_once_and_only_so_many_wait() -> None:
    running = 0
    most = 0
    answer = trio.Event()

    async def lookup(hostname: str) -> list[str]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await answer.wait()
        running -= 1
        return ["192.0.2.1"]

    async with resolving(lookup) as stage:
        for number in range(LOOKUPS):
            stage.resolver.ask(f"{number}.test")
        await trio.testing.wait_all_tasks_blocked()
        for number in range(WAITING):
            stage.resolver.ask(f"waiting-{number}.test")
        assert stage.given == []
        stage.resolver.ask("too-many.test")
        assert stage.given == [("too-many.test", [])]
        answer.set()
        await trio.testing.wait_all_tasks_blocked()
        assert most == LOOKUPS
        assert len(stage.given) == LOOKUPS + WAITING + 1


@pytest.mark.parametrize("name", ["localhost", "api.localhost", "API.LOCALHOST."])
async def test_localhost_is_loopback_without_asking(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(trio.socket, "getaddrinfo", asked)
    assert await system_lookup(name) == ["127.0.0.1", "::1"]


async def test_the_system_knows_an_address() -> None:
    assert await system_lookup("127.0.0.1") == ["127.0.0.1"]
