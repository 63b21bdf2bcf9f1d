"""Requests that are there at once, in a gateway whose tables are large.

Their lookups are interleaved then (`Snapshot::fetch_all`); nothing but the time it takes may depend on
that. So each round here is played twice: one request after the other, and all of them in one turn.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from oto_trio._core import Snapshot
from tests.conformance.http1.gateway import Gateway, running
from tests.conformance.http1.wire import Wire

ROWS = 1_200
"""More than what is taken for small (1,000)."""


def place(number: int) -> tuple[str, str]:
    """Host and path of a route; some are declared at the root of a domain of their own."""
    if number % 10 == 9:
        return f"alone{number}.test", ""
    return f"api{number % 10}.test", f"/team{number // 100}/service{number}"


def route(number: int) -> bytes:
    """A route that redirects whoever shows a key to an address that names the route."""
    host, path = place(number)
    checks = [
        {"phase": phase, "plugin": "keys", "kind": "apikey_calls"}
        for phase in ("match_route", "access", "transform_request")
    ]
    bucket = {"id": "LocalTokensBucketStrategyConfig", "bucketKey": "${route.id}"}
    limit = {"phase": "access", "plugin": "bucket", "kind": "rate_limit", **bucket}
    target = {"code": 302, "to": f"http://routed.test/{number}"}
    answer = {"phase": "access", "plugin": "redirect", "kind": "redirect", **target}
    document = {
        "id": f"route-{number}",
        "name": f"route {number}",
        "membership": {"groups": ["g"]},
        "frontend": {"domains": [f"{host}{path}"]},
        "backend": {"targets": []},
        "steps": [*checks[:2], limit, answer, checks[2]],
    }
    return json.dumps(document).encode()


def key(number: int) -> bytes:
    """An API key; every tenth may be used once a day."""
    document = {
        "clientId": f"client-{number}",
        "clientSecret": f"secret-{number}",
        "clientName": f"client {number}",
        "authorizations": [{"kind": "group", "id": "g"}],
        "dailyQuota": 1 if number % 10 == 0 else 1_000,
    }
    return json.dumps(document).encode()


@asynccontextmanager
async def large() -> AsyncIterator[Gateway]:
    """Run an engine with as many routes as keys."""
    snapshot = Snapshot().apply(
        [route(number) for number in range(ROWS)],
        [],
        entities=[("apikeys", f"client-{number}", key(number)) for number in range(ROWS)],
    )
    async with running() as gateway:
        gateway.engine.install(snapshot)
        yield gateway


def request(number: int, *fields: str, path: str | None = None, host: str | None = None) -> bytes:
    """A request for a route."""
    own_host, own_path = place(number)
    lines = [f"GET {path or own_path + '/x'} HTTP/1.1", f"Host: {host or own_host}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def shown(number: int, secret: str | None = None) -> tuple[str, str]:
    """The fields of a client."""
    value = secret or f"secret-{number}"
    return f"Otoroshi-Client-Id: client-{number}", f"Otoroshi-Client-Secret: {value}"


ROUND: tuple[bytes, ...] = (
    *(request(number, *shown(number * 7 % ROWS)) for number in range(0, ROWS, 25)),
    # Twice the key that may be used once.
    request(11, *shown(700)),
    request(12, *shown(700)),
    # What is shown is no key's, or not proved, or is no text, or too long to be looked ahead for.
    request(13, *shown(ROWS + 1)),
    request(14, *shown(14, "wrong")),
    request(15),
    request(16, "Otoroshi-Client-Id: \x80\xff"),
    request(17, "Otoroshi-Client-Id: " + "c" * 500, "Otoroshi-Client-Secret: s"),
    request(18, "Authorization: Bearer otoapk_"),
    request(19, "Authorization: Bearer otoapk_client-19_00"),
    request(20, "x-api-key: client-20"),
    # No route, or one that is deeper than what is looked ahead for.
    request(21, *shown(21), host="nowhere.test"),
    request(22, *shown(22), path="/"),
    request(23, *shown(23), path="/team0"),
    request(24, *shown(24), path=place(24)[1] + "/a/b/c/d/e/f"),
    request(25, *shown(25), path=place(25)[1] + "-and-more"),
)


async def answers(wires: list[Wire]) -> list[tuple[int, bytes]]:
    """What each got: the status, and where it was sent."""
    responses = [await wire.read_response() for wire in wires]
    return [(seen.status, dict(seen.headers).get(b"location", b"")) for seen in responses]


async def one_by_one() -> list[tuple[int, bytes]]:
    """Play the round one request after the other."""
    seen = []
    async with large() as gateway:
        for text in ROUND:
            wire = await gateway.client()
            await wire.send(text)
            seen += await answers([wire])
            await wire.close()
    return seen


async def test_requests_of_one_turn_are_answered_as_one_by_one() -> None:
    alone = await one_by_one()
    async with large() as gateway:
        wires = [await gateway.client() for _ in ROUND]
        await gateway.caught_up(*wires)
        for wire, text in zip(wires, ROUND, strict=True):
            assert wire.send_at_once(text) == len(text)
        gateway.turn()
        together = await answers(wires)
        for wire in wires:
            await wire.close()
    assert [status for status, _ in alone[:3]] == [302, 302, 302]
    assert {status for status, _ in alone} >= {302, 400, 401, 404, 429}
    # Which of two calls comes first is the kernel's choice.
    pair = slice(48, 50)
    assert sorted(alone[pair])[1][0] == sorted(together[pair])[1][0] == 429
    del alone[pair], together[pair]
    assert together == alone


async def test_a_client_that_leaves_in_the_turn_of_its_request_takes_no_other_along() -> None:
    async with large() as gateway:
        wires = [await gateway.client() for _ in range(40)]
        await gateway.caught_up(*wires)
        for number, wire in enumerate(wires):
            text = request(number, *shown(number + 1))
            if number % 3 == 0:
                wire.send_at_once(text)
                wire.reset()
            elif number % 3 == 1:
                # Two requests: the second waits for the first one's answer.
                wire.send_at_once(text + text)
            else:
                wire.send_at_once(text)
        gateway.turn()
        for number, wire in enumerate(wires):
            if number % 3 == 0:
                continue
            for _ in range(1 + number % 3 % 2):
                ((status, location),) = await answers([wire])
                is_spent = status == 429 and (number + 1) % 10 == 0
                assert is_spent or location == b"http://routed.test/%d" % number, (number, status)
            await wire.close()
        await gateway.settled()
