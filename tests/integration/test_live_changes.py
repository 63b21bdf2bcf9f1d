"""Changes while traffic runs: live when they were waited for, and nothing in flight notices them.

Each test runs a whole gateway with two workers through its command line.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.conformance.http1.upstream import Upstream as PlayedUpstream
from tests.integration.clients import (
    GUARD_S,
    STAMP,
    Answer,
    Connection,
    Load,
    admin,
    ask,
    bulk,
    eventually,
    on_every_worker,
    route,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
APPLIED = {"wait": "applied"}
FRESH = 12
"""New connections after a change: the kernel spreads them over two workers."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose plugin folder holds the stamp."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "stamp.py").write_text(STAMP)
    return tmp_path


async def put(api: httpx.AsyncClient, document: dict[str, Any]) -> None:
    """Create or replace a route, and wait until every worker serves it."""
    answer = await api.post(f"{ROUTES}/{document['id']}", params=APPLIED, json=document)
    assert answer.status_code in {200, 201}, answer.text
    assert answer.headers["Oto-Trio-Applied"] == "true"


async def delete(api: httpx.AsyncClient, name: str) -> None:
    """Remove a route, and wait until no worker serves it."""
    answer = await api.delete(f"{ROUTES}/{name}", params=APPLIED)
    assert answer.status_code == 200, answer.text


async def test_a_change_that_was_waited_for_holds_for_the_next_request_of_every_worker(
    upstream: Upstream, data: Path
) -> None:
    seen = defaultdict[int, set[str]](set)
    times: list[float] = []
    async with gateway_process("--workers", "2", data=data) as gateway, admin(gateway) as api:
        assert (await ask(gateway.port, "a.test")).status == 404
        await put(api, route("a", upstream.url, version="v0"))
        async with on_every_worker(gateway.port, "a.test", gateway.workers()) as kept:
            for number in range(1, 16):
                version = f"v{number}"
                began = trio.current_time()
                await put(api, route("a", upstream.url, version=version))
                times.append(trio.current_time() - began)
                for connection in kept:
                    answer = await connection.ask("a.test")
                    assert answer.version == version
                    seen[answer.worker].add(version)
                for _ in range(FRESH):
                    assert (await ask(gateway.port, "a.test")).version == version
            # Other work of the machine delays some of them; a timer in the way would delay all.
            with trio.fail_after(4 * GUARD_S):
                while min(times) >= 0.1:
                    began = trio.current_time()
                    await put(api, route("a", upstream.url, version=f"again{len(times)}"))
                    times.append(trio.current_time() - began)
            await delete(api, "a")
            assert {(await connection.ask("a.test")).status for connection in kept} == {404}
        assert {(await ask(gateway.port, "a.test")).status for _ in range(FRESH)} == {404}
        assert set(seen) == set(gateway.workers())
    assert [len(versions) for versions in seen.values()] == [15, 15]


async def test_ten_thousand_edits_under_load_fail_no_request_and_close_no_connection(
    upstream: Upstream, data: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    async with (
        gateway_process("--workers", "2", data=data) as gateway,
        admin(gateway) as api,
        trio.open_nursery() as nursery,
    ):
        await put(api, route("kept", upstream.url, version="1"))
        await put(api, route("edited", upstream.url, version="1"))
        load = Load(gateway.port, is_right=is_first, pause_s=0.01)
        for host in ("kept.test", "edited.test") * 8:
            nursery.start_soon(load.keep_asking, host)
        await load.until_answered(100)
        edits = Edits(api, gateway.port, upstream.url, load)
        began = trio.current_time()
        async with trio.open_nursery() as editors:
            editors.start_soon(edits.in_bulk, 3_200, 200)
            editors.start_soon(edits.one_by_one, 100)
        took_s = trio.current_time() - began
        await load.until_answered(100)
        left = await api.get(f"{ROUTES}/_count")
        nursery.cancel_scope.cancel()
    record_testsuite_property("edits per second", round(edits.made / took_s))
    record_testsuite_property("requests per second", round(load.answered.total() / took_s))
    assert edits.made == 10_000
    assert load.failures == []
    assert load.closed == 0
    assert left.json()["count"] == 3, "two of the test, and the admin API's"


def is_first(answer: Answer) -> bool:
    return answer.status == 200 and answer.version[:1] == "1"


class Edits:
    """Routes made, changed and removed; each one answers as it should right after."""

    def __init__(self, api: httpx.AsyncClient, port: int, upstream_url: str, load: Load) -> None:
        self.made = 0
        self._load = load
        self._api = api
        self._port = port
        self._url = upstream_url

    async def in_bulk(self, routes: int, at_a_time: int) -> None:
        """Make, change and remove so many routes, some in each request."""
        async with await Connection.open(self._port) as probe:
            for first in range(0, routes, at_a_time):
                names = [f"bulk-{number}" for number in range(first, first + at_a_time)]
                for verb, version, expected in (
                    ("POST", "1", (200, "1")),
                    ("PUT", "2", (200, "2")),
                    ("DELETE", None, (404, "")),
                ):
                    documents = [route(name, self._url, version=version) for name in names]
                    outcomes = await bulk(self._api, verb, documents, **APPLIED)
                    assert {outcome["status"] for outcome in outcomes} <= {200, 201}
                    self.made += len(outcomes)
                    await self._load.until_answered(20)  # requests come between the edits
                    for name in (names[0], names[-1]):
                        answer = await probe.ask(f"{name}.test")
                        assert (answer.status, answer.version) == expected

    async def one_by_one(self, rounds: int) -> None:
        """Four edits a round: a route of its own, and the one that the load asks."""
        for number in range(rounds):
            document = route("single", self._url, version="1")
            stamp = {"plugin": "cp:test.Stamp", "config": {"version": f"1.{number}"}}
            for verb, path, body in (
                ("POST", "", document),
                ("PUT", "/edited", route("edited", self._url, version=f"1.{number}")),
                ("PATCH", "/edited", [{"op": "add", "path": "/plugins/0", "value": stamp}]),
                ("DELETE", "/single", None),
            ):
                answer = await self._api.request(verb, ROUTES + path, json=body)
                assert answer.status_code in {200, 201}, answer.text
                self.made += 1


async def test_what_is_in_flight_ends_on_the_configuration_it_began_with(
    upstream: Upstream, data: Path
) -> None:
    async with gateway_process("--workers", "2", data=data) as gateway, admin(gateway) as api:
        await put(api, route("a", upstream.url, version="old"))
        async with on_every_worker(gateway.port, "a.test", gateway.workers()) as held:
            gate = upstream.gate = trio.Event()
            before = len(upstream.heads)
            for connection in held:
                await connection.send(b"GET /held HTTP/1.1\r\nHost: a.test\r\n\r\n")
            await eventually(partial(has_heads, upstream, before + len(held)))
            upstream.gate = None

            await put(api, route("a", upstream.url, version="new"))
            assert {(await ask(gateway.port, "a.test")).version for _ in range(FRESH)} == {"new"}
            await delete(api, "a")
            assert {(await ask(gateway.port, "a.test")).status for _ in range(FRESH)} == {404}

            gate.set()
            with trio.fail_after(GUARD_S):
                late = [await connection.answer() for connection in held]
                assert {(answer.status, answer.version) for answer in late} == {(200, "old")}
                assert {answer.body for answer in late} == {b"GET /held HTTP/1.1"}
                # The connections live on, and their next requests meet the new configuration.
                assert {(await connection.ask("a.test")).status for connection in held} == {404}


async def has_heads(upstream: Upstream, count: int) -> bool:
    return len(upstream.heads) >= count


async def test_bodies_and_tunnels_go_on_when_their_route_is_gone(data: Path) -> None:
    backend = await PlayedUpstream.open()
    url = f"http://127.0.0.1:{backend.port}"
    with trio.fail_after(10 * GUARD_S):
        async with gateway_process("--workers", "2", data=data) as gateway, admin(gateway) as api:
            await put(api, route("a", url, version="old"))
            upload, tunnel = [await Connection.open(gateway.port) for _ in range(2)]
            await upload.send(b"POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8\r\n\r\nhalf")
            upload_wire = await backend.accept()
            assert (await upload_wire.read_until(b"half")).startswith(b"POST /up ")
            await tunnel.send(
                b"GET /talk HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: words\r\n\r\n"
            )
            tunnel_wire = await backend.accept()
            await tunnel_wire.read_until(b"\r\n\r\n")
            await tunnel_wire.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: words\r\n\r\n"
            )
            assert (await tunnel.answer()).status == 101

            await delete(api, "a")
            assert (await ask(gateway.port, "a.test")).status == 404

            await upload.send(b"done")
            assert await upload_wire.read_exactly(4) == b"done"
            await upload_wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfir")
            await upload_wire.send(b"st!")
            answer = await upload.answer()
            assert (answer.status, answer.version, answer.body) == (200, "old", b"first!")
            await tunnel.send(b"ping")
            assert await tunnel_wire.read_exactly(4) == b"ping"
            await tunnel_wire.send(b"pong")
            assert await tunnel.read(4) == b"pong"
            for end in (upload, tunnel):
                await end.aclose()
            for wire in (upload_wire, tunnel_wire):
                await wire.close()
            await backend.close()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a pattern that does not compile": (
        {"frontend": {"domains": ["a.test/$id<[>"]}},
        "$.frontend.domains[0]",
    ),
    "a plugin that does not exist": (
        {"plugins": [{"plugin": "cp:no.such.Plugin"}]},
        "$.plugins[0]",
    ),
    "a config of the wrong type": (
        {"plugins": [{"plugin": "cp:test.Stamp", "config": {"version": 7}}]},
        "$.plugins[0].config.version",
    ),
    "a target without a port": (
        {"backend": {"targets": [{"hostname": "127.0.0.1"}]}},
        "$.backend.targets[0].port",
    ),
}
"""What is wrong: the keys of the route that make it so, and the place that the answer names."""


async def test_a_bad_change_is_refused_with_its_place_and_changes_nothing(
    upstream: Upstream, data: Path
) -> None:
    good = route("a", upstream.url, version="good")
    async with gateway_process("--workers", "2", data=data) as gateway, admin(gateway) as api:
        await put(api, good)
        async with on_every_worker(gateway.port, "a.test", gateway.workers()) as kept:
            for what, (change, place) in BAD.items():
                bad = {**good, **change}
                before = (await api.get(f"{ROUTES}/a")).content
                for verb, path in (("PUT", "/a"), ("POST", "/a"), ("POST", "")):
                    document = bad if path else {**bad, "id": "b"}
                    answer = await api.request(verb, f"{ROUTES}{path}", json=document)
                    assert answer.status_code == 400, answer.text
                    problems = answer.json()["problems"]
                    assert any(problem["path"].startswith(place) for problem in problems), problems
                    assert all(problem["fix"] for problem in problems)
                assert (await api.get(f"{ROUTES}/a")).content == before
                assert (await api.get(f"{ROUTES}/b")).status_code == 404
                # In a bulk, the bad line alone is refused.
                outcomes = await bulk(api, "PUT", [{**good, "name": what}, bad], _group="1")
                assert [outcome["status"] for outcome in outcomes] == [200, 400]
                assert (await api.get(f"{ROUTES}/a")).json()["name"] == what
                assert {(await connection.ask("a.test")).version for connection in kept} == {"good"}
            before = (await api.get(f"{ROUTES}/a")).content
            answer = await api.put(f"{ROUTES}/a", content=b'{"id": "a",')
            assert answer.status_code == 400
            assert (await api.get(f"{ROUTES}/a")).content == before


# ----------------------------------------------------------------------------- plugin files

WORDS = '''\
"""Says a word once a file is there."""
import os
import trio
from oto_trio.plugin_api import Exchange, Plugin, Response

class Words(Plugin):
    """Wait, then answer."""
    id = "cp:test.Words"
    name = "Words"
    description = "Waits for a file, then answers."
    categories = ("Other",)

    async def access(self, exchange: Exchange) -> Response:
        """Answer with this version's word and the process."""
        began, gate = first(), trio.Path(exchange.request.query)
        while exchange.request.query and not await gate.exists():
            await trio.sleep(0.01)
        headers = (("X-Worker", str(os.getpid())), ("X-Version", began + last()))
        return Response(200, headers, b"")

def first() -> str:
    return "{word}"

def last() -> str:
    return "{word}"
'''


async def test_a_changed_plugin_file_is_live_and_requests_in_flight_end_on_the_old_code(
    upstream: Upstream, data: Path
) -> None:
    file, gate = data / "plugins" / "words.py", data / "gate"
    file.write_text(WORDS.replace("{word}", "one"))
    words = route("words", upstream.url, plugins=[{"plugin": "cp:test.Words"}])
    async with gateway_process("--workers", "2", data=data) as gateway, admin(gateway) as api:
        await put(api, words)
        workers = set(gateway.workers())
        async with on_every_worker(gateway.port, "words.test", workers) as held:
            for connection in held:
                await connection.send(f"GET /?{gate} HTTP/1.1\r\nHost: words.test\r\n\r\n".encode())
            async with on_every_worker(gateway.port, "words.test", workers) as kept:

                async def versions() -> set[str]:
                    return {(await connection.ask("words.test")).version for connection in kept}

                async def all_say(version: str) -> bool:
                    said = await versions()
                    # Old or new, and never something in between.
                    assert said <= {"oneone", "twotwo", "sixsix"}
                    return said == {version}

                assert await versions() == {"oneone"}
                file.write_text(WORDS.replace("{word}", "two"))
                await eventually(partial(all_say, "twotwo"))

                for broken in ("class Words(:\n", "import no_such_module\n", ""):
                    file.write_text(broken)
                    await gateway.wait_for_log("words.py")
                    gateway.log.clear()
                    assert await versions() == {"twotwo"}
                file.write_text(WORDS.replace("{word}", "six"))
                await eventually(partial(all_say, "sixsix"))

            gate.touch()
            with trio.fail_after(GUARD_S):
                late: list[Answer] = [await connection.answer() for connection in held]
            assert {answer.version for answer in late} == {"oneone"}
            assert {answer.worker for answer in late} == workers
            assert {(await connection.ask("words.test")).version for connection in held} == {
                "sixsix"
            }
