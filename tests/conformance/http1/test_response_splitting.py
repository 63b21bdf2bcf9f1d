"""No byte sequence from a backend makes a client see another response than the one meant for it."""

from collections.abc import Iterable

import h11
import pytest

from tests.conformance.http1.conversation import byte_by_byte
from tests.conformance.http1.corpus.responses import RESPONSES, ResponseCase
from tests.conformance.http1.gateway import Gateway, route, running
from tests.conformance.http1.messages import responses_in
from tests.conformance.http1.upstream import Upstream
from tests.conformance.http1.wire import Wire

cases = pytest.mark.parametrize("case", RESPONSES, ids=[case.name for case in RESPONSES])


def test_no_case_stands_twice() -> None:
    assert len({case.name for case in RESPONSES}) == len(RESPONSES)


@cases
async def test_a_response_is_what_the_gateway_says(case: ResponseCase) -> None:
    await play(case, [case.sent])


@pytest.mark.parametrize(
    "case", [case for case in RESPONSES if len(case.sent) < 2000], ids=lambda case: case.name
)
async def test_bytes_that_come_one_by_one_change_nothing(case: ResponseCase) -> None:
    await play(case, byte_by_byte(case.sent), is_exact=b"chunked" not in (case.client or b""))


async def play(case: ResponseCase, pieces: Iterable[bytes], *, is_exact: bool = True) -> None:
    """Play the backend's part, and hold what the client gets against the table."""
    upstream = await Upstream.open()
    async with running(route(upstream.port)) as gateway:
        reply, backend = await ask(gateway, upstream, case, pieces)
        await gateway.settled()
        assert gateway.engine.in_flight()["pooled"] == case.is_kept
        await backend.close()
    await upstream.close()
    if case.client is None:
        assert reply.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert [seen.status for seen in responses_in(reply, case.method.decode())] == [502]
        return
    if is_exact:
        assert reply == case.client
    if case.is_whole:
        wanted = responses_in(case.client, case.method.decode())
        assert responses_in(reply, case.method.decode()) == wanted
    else:
        with pytest.raises(h11.RemoteProtocolError):
            responses_in(reply, case.method.decode())


async def ask(
    gateway: Gateway, upstream: Upstream, case: ResponseCase, pieces: Iterable[bytes]
) -> tuple[bytes, Wire]:
    """Send the case's request and answer it; return all that the client got, and the backend."""
    client = await gateway.client()
    line = b"%s / HTTP/%s\r\nHost: a\r\n" % (case.method, case.version)
    await client.send(line + case.fields + b"\r\n")
    backend = await upstream.accept()
    await backend.read_until(b"\r\n\r\n")
    for piece in pieces:
        await backend.send(piece)
        gateway.turn()
    if case.closes:
        await backend.close()
    await client.finish()
    reply = await client.read_to_end()
    await client.close()
    return reply, backend
