"""NgHasClientCertMatchingHttpValidator."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oto_trio.plugin_api import Phase, Refusal
from oto_trio.plugins.access_control.ng_has_client_cert_matching_http_validator import (
    NgHasClientCertMatchingHttpValidator,
    NgHasClientCertMatchingHttpValidatorConfig,
)
from oto_trio.testing import FakeExchange, call_hook
from tests.conformance.http1.upstream import Recorder, Upstream
from tests.conformance.signature_cases import client_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from tests.conformance.http1.messages import RequestSeen

TIMEOUT_MS = 60_000


class Service:
    """Keeps the lists; `body` and `status` are what it answers next."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"{}"

    def says(self, **lists: Any) -> None:
        self.body = msgspec.json.encode(lists)

    def answer(self, _request: RequestSeen) -> bytes:
        return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (
            self.status,
            len(self.body),
            self.body,
        )


@asynccontextmanager
async def serving(
    **config: Any,
) -> AsyncGenerator[tuple[Service, Recorder, NgHasClientCertMatchingHttpValidator]]:
    """Run the service, and make a plugin that asks it."""
    upstream, service = await Upstream.open(), Service()
    recorder = Recorder(upstream, service.answer)
    config.setdefault("timeout", TIMEOUT_MS)
    settings = NgHasClientCertMatchingHttpValidatorConfig(
        url=f"http://127.0.0.1:{upstream.port}/lists",
        **config,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        yield service, recorder, NgHasClientCertMatchingHttpValidator(settings)
        nursery.cancel_scope.cancel()
    await upstream.close()


async def gets_in(
    plugin: NgHasClientCertMatchingHttpValidator, *, has_certificate: bool = True
) -> bool:
    exchange = FakeExchange()
    exchange.client_certificate = client_certificate() if has_certificate else None
    answer = await call_hook(plugin, Phase.ACCESS, exchange)
    if answer is None:
        return True
    assert answer == Refusal(403, "forbidden")
    return False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("serialNumbers", "abcdef12345"),
        ("subjectDNs", "*CN=client"),
        ("issuerDNs", "CN=Authority, O=Me"),
        ("regexSubjectDNs", ".*CN=client"),
        ("regexIssuerDNs", "O=Me, .*"),
    ],
)
async def test_the_services_lists_let_clients_in(field: str, value: str) -> None:
    async with serving(method="POST", headers={"X-Mine": "1"}) as (service, recorder, plugin):
        service.says(**{field: ["other", value]})
        assert await gets_in(plugin)
        assert not await gets_in(plugin, has_certificate=False)
    (request,) = recorder.requests
    assert (request.method, request.target) == (b"POST", b"/lists")
    assert request.values(b"x-mine") == [b"1"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (201, b'{"subjectDNs":["*"]}'),
        (500, b'{"subjectDNs":["*"]}'),
        (200, b"no JSON"),
        (200, b'{"subjectDNs":"*"}'),
        (200, b'{"subjectDNs":["*"],"regexSubjectDNs":["("]}'),
        (200, b'{"subjectDNs":["*","' + b"x" * 600_000 + b'"]}'),
    ],
)
async def test_any_other_answer_lets_nobody_in(status: int, body: bytes) -> None:
    async with serving() as (service, _, plugin):
        service.status, service.body = status, body
        assert not await gets_in(plugin)


async def test_a_service_that_is_gone_lets_nobody_in() -> None:
    async with serving() as (_, _, plugin):
        pass
    assert not await gets_in(plugin)


async def test_lists_are_fetched_once_and_again_when_they_are_old(
    mock_clock: MockClock,
) -> None:
    async with serving(timeout=1000) as (service, recorder, plugin):
        service.says(subjectDNs=["*"])
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(_assert_in, plugin)
            assert len(recorder.requests) == 1, "those that wait share one call"
            service.says(subjectDNs=["other"])
            assert await gets_in(plugin), "what was fetched is still good"
            mock_clock.jump(1.01)
            assert not await gets_in(plugin)
        assert len(recorder.requests) == 2


async def test_old_lists_serve_while_somebody_fetches_new_ones(mock_clock: MockClock) -> None:
    upstream = await Upstream.open()
    config = NgHasClientCertMatchingHttpValidatorConfig(
        url=f"http://127.0.0.1:{upstream.port}/", timeout=10_000
    )
    plugin = NgHasClientCertMatchingHttpValidator(config)
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"subjectDNs":["*"]}'
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_assert_in, plugin)
            wire = await upstream.accept()
            await wire.read_request()
            await wire.send(answer)
        await wire.close()
        mock_clock.jump(10.01)
        answers: list[bool] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gets_in, plugin)
            wire = await upstream.accept()
            # The service is silent: the others do not wait for it.
            nursery.start_soon(_note_in, plugin, answers)
            await wait_all_tasks_blocked()
            assert answers == [True]
            nursery.cancel_scope.cancel()
        await wire.close()
        # Its client left; the next exchange fetches.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_assert_in, plugin)
            wire = await upstream.accept()
            await wire.read_request()
            await wire.send(answer)
        await wire.close()
    await upstream.close()


async def _note_in(plugin: NgHasClientCertMatchingHttpValidator, answers: list[bool]) -> None:
    answers.append(await gets_in(plugin))


async def _assert_in(plugin: NgHasClientCertMatchingHttpValidator) -> None:
    assert await gets_in(plugin)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="url"):
        NgHasClientCertMatchingHttpValidatorConfig(url="ftp://a")
