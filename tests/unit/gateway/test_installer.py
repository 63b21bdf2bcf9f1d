"""The installer: entities in, a live snapshot out."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from oto_trio.gateway.frames import Entity, EntityKey, SnapshotFull
from oto_trio.gateway.installer import (
    BACKENDS,
    GLOBAL_CONFIG,
    ROUTES,
    SLICE_ROUTES,
)
from oto_trio.plugin_api.folder import FolderPlugins
from oto_trio.testing.scripted_engine import ScriptedEngine
from tests.unit.gateway.installing import Stage, backend, global_config, route


@pytest.fixture
def stage(engine: ScriptedEngine) -> Stage:
    return Stage(engine)


async def test_a_snapshot_is_live_once_its_last_chunk_came(stage: Stage) -> None:
    take = stage.installer.take
    assert not await take(SnapshotFull(4, 0, False, [route("a", "a.test")]))
    assert stage.engine.installed == []
    assert await take(SnapshotFull(4, 1, True, [route("b", "b.test", to="192.0.2.2")]))
    assert len(stage.live) == 2
    assert stage.installer.routes == 2
    assert stage.target("b.test/x") == "192.0.2.2:80"


async def test_an_empty_snapshot_is_live_too(stage: Stage) -> None:
    assert await stage.installer.take(SnapshotFull(0, 0, True, []))
    assert len(stage.live) == 0


async def test_a_snapshot_removes_what_it_does_not_name(stage: Stage) -> None:
    await stage.change(route("a", "a.test"), route("b", "b.test"), backend("k", "192.0.2.9"))
    await stage.installer.take(SnapshotFull(9, 0, True, [route("b", "b.test")]))
    assert "a" not in stage.live
    assert "b" in stage.live


async def test_a_change_replaces_adds_and_removes(stage: Stage) -> None:
    await stage.change(route("a", "a.test"), route("b", "b.test"))
    await stage.change(
        route("a", "a.test", to="192.0.2.7"),
        route("c", "c.test"),
        removed=(EntityKey(ROUTES, "b"), EntityKey(ROUTES, "never-was")),
    )
    assert stage.target("a.test/") == "192.0.2.7:80"
    assert "b" not in stage.live
    assert "c" in stage.live


async def test_a_change_in_parts_is_installed_once(stage: Stage) -> None:
    await stage.change(route("a", "a.test"))
    assert len(stage.engine.installed) == 1
    assert not await stage.change(route("b", "b.test"), last=False)
    assert len(stage.engine.installed) == 1
    assert await stage.change(route("c", "c.test"))
    assert len(stage.engine.installed) == 2
    assert len(stage.live) == 3


async def test_a_route_follows_the_backend_it_refers_to(stage: Stage) -> None:
    await stage.change(
        backend("k", "192.0.2.50"),
        route("a", "a.test", backend_ref="k"),
        route("b", "b.test"),
    )
    assert stage.target("a.test/") == "192.0.2.50:80"
    await stage.change(backend("k", "192.0.2.51"))
    assert stage.target("a.test/") == "192.0.2.51:80"
    assert stage.target("b.test/") == "192.0.2.1:80"
    await stage.change(removed=(EntityKey(BACKENDS, "k"),))
    assert stage.target("a.test/") is None
    assert any("no backend k" in problem.message for problem in stage.problems)


async def test_a_route_that_refers_no_more_does_not_follow(stage: Stage) -> None:
    await stage.change(backend("k", "192.0.2.50"), route("a", "a.test", backend_ref="k"))
    await stage.change(route("a", "a.test", to="192.0.2.3"))
    await stage.change(backend("k", "192.0.2.51"))
    assert stage.target("a.test/") == "192.0.2.3:80"


async def test_global_slots_reach_every_route(stage: Stage) -> None:
    await stage.change(route("a", "a.test"), route("b", "b.test"))
    slots = [{"plugin": "cp:otoroshi.next.plugins.MaintenanceMode", "enabled": True}]
    await stage.change(global_config(plugins={"config": {"ng": slots}}))
    for domain in ("a.test", "b.test"):
        plugins = [step["plugin"] for step in stage.explain(f"{domain}/")["plan"]]
        assert "cp:otoroshi.next.plugins.MaintenanceMode" in plugins
    await stage.change(global_config(plugins={"config": {}}))
    plugins = [step["plugin"] for step in stage.explain("a.test/")["plan"]]
    assert "cp:otoroshi.next.plugins.MaintenanceMode" not in plugins


async def test_the_global_config_decides_about_forwarded_headers(stage: Stage) -> None:
    await stage.change(route("a", "a.test"))

    def host() -> str:
        answer = stage.live.explain("GET", "a.test", "/", [("X-Forwarded-Host", "evil.test")])
        found: str = answer["request"]["domain"]
        return found

    assert host() == "evil.test"
    await stage.change(global_config(trustXForwarded=False))
    assert host() == "a.test"


async def test_the_global_config_keeps_addresses_out_of_every_route(stage: Stage) -> None:
    spared = {"otoroshi-core-apply-legacy-checks": "false"}
    await stage.change(route("a", "a.test"), route("b", "b.test", metadata=spared))

    def passes(address: str, host: bytes = b"a.test") -> bool:
        exchange = stage.live.begin(b"GET", b"/", [(b"Host", host)], remote_address=address)
        return exchange.advance()[0] == "forward"

    assert passes("192.0.2.7")
    await stage.change(global_config(ipFiltering={"blacklist": ["192.0.2.0/30", "192.0.2.7"]}))
    assert [passes(f"192.0.2.{last}") for last in (3, 4, 7)] == [False, True, False]
    assert passes("192.0.2.7", b"b.test")
    await stage.change(
        global_config(ipFiltering={"whitelist": ["192.0.*"], "blacklist": ["192.0.2.7"]})
    )
    assert [passes(each) for each in ("192.0.2.8", "192.0.2.7", "198.51.100.1")] == [
        True,
        False,
        False,
    ]
    assert stage.problems == []


async def test_incoming_validators_look_at_requests_before_there_is_a_route(stage: Stage) -> None:
    await stage.change(route("a", "a.test"), route("b", "b.test"))

    def status(host: bytes) -> int:
        exchange = stage.live.begin(b"GET", b"/", [(b"Host", host)])
        decision = exchange.advance()
        return decision[1] if decision[0] == "reply" else 0

    name = "cp:otoroshi.next.plugins.NgIncomingRequestValidator{}DomainNames"
    slots: list[dict[str, Any]] = [
        {"plugin": name.format("Allowed"), "config": {"domains": ["*.TEST", "c.example"]}},
        {"plugin": name.format("Denied"), "config": {"domains": ["b.*"]}},
        {"plugin": name.format("Denied"), "config": {"domains": ["a.*"]}, "enabled": False},
        {"plugin": name.format("Denied")},
    ]
    hosts = (b"A.test:80", b"b.test", b"c.example", b"d.example")
    await stage.change(global_config(plugins={"config": {"incoming_request_validators": slots}}))
    assert [status(host) for host in hosts] == [0, 403, 404, 403]
    assert stage.problems == []
    slots.append({"plugin": "cp:no.such"})
    await stage.change(global_config(plugins={"config": {"incoming_request_validators": slots}}))
    assert [status(host) for host in hosts] == [403] * 4
    assert "there is no plugin cp:no.such" in stage.problems[0].message
    await stage.change(global_config())
    assert [status(host) for host in hosts] == [0, 0, 404, 404]


async def test_an_address_that_is_none_is_reported_and_lets_nobody_in(stage: Stage) -> None:
    await stage.change(
        route("a", "a.test"),
        global_config(ipFiltering={"whitelist": ["10.0.0"], "blacklist": ["x", "192.0.2.7"]}),
    )
    fields = [(b"Host", b"a.test")]
    exchange = stage.live.begin(b"GET", b"/", fields, remote_address="192.0.2.8")
    assert exchange.advance()[:2] == ("reply", 403)
    assert [problem.message.partition(":")[0] for problem in stage.problems] == [
        "$.ipFiltering.whitelist[0]",
        "$.ipFiltering.blacklist[0]",
    ]


async def test_a_key_that_cannot_be_read_lets_nobody_in_any_more(stage: Stage) -> None:
    key: dict[str, Any] = {
        "clientId": "id",
        "clientSecret": "the-secret",
        "clientName": "n",
        "authorizations": [{"kind": "route", "id": "a"}],
    }

    def status() -> object:
        fields = [
            (b"Host", b"a.test"),
            (b"Otoroshi-Client-Id", b"id"),
            (b"Otoroshi-Client-Secret", b"the-secret"),
        ]
        decision = stage.live.begin(b"GET", b"/", fields).advance()
        return decision[1] if decision[0] == "reply" else decision[0]

    def stored(**more: object) -> Entity:
        return Entity("apikeys", "id", json.dumps(key | more).encode())

    plugins = [{"plugin": "cp:otoroshi.next.plugins.ApikeyCalls"}]
    await stage.change(route("a", "a.test", plugins=plugins), stored())
    assert status() == "forward"
    other = Entity("apikeys", "other", json.dumps(key | {"clientId": "other"}).encode())
    unreadable = {"enabled": True, "forbidden": [{"path": "("}]}
    await stage.change(stored(enabled=False, restrictions=unreadable), other)
    assert status() == 400
    (problem,) = stage.problems
    assert (problem.kind, problem.id) == ("apikeys", "id")
    assert "restrictions.forbidden[0].path" in problem.message
    assert "lets nobody in" in problem.message
    assert "the-secret" not in problem.message
    await stage.change(stored())
    assert status() == "forward"


async def test_a_route_that_cannot_be_read_stays_as_it_was_and_is_reported(stage: Stage) -> None:
    await stage.change(route("a", "a.test"), route("b", "b.test"))
    await stage.change(
        Entity(ROUTES, "a", b"{nonsense"),
        Entity(ROUTES, "b", b'{"id": "b"}'),
        route("c", "c.test"),
    )
    assert stage.target("a.test/") == "192.0.2.1:80"
    assert stage.target("b.test/") == "192.0.2.1:80"
    assert "c" in stage.live
    assert {problem.id for problem in stage.problems} == {"a", "b"}
    assert all("stays as it was" in problem.message for problem in stage.problems)


@pytest.mark.parametrize(
    ("entity", "kind"),
    [
        (Entity(BACKENDS, "k", b"[]"), "backend"),
        (Entity(BACKENDS, "k", b"{"), "backend"),
        (Entity(GLOBAL_CONFIG, "global", b"3"), "global-config"),
        (Entity(GLOBAL_CONFIG, "global", b"{"), "global-config"),
    ],
)
async def test_other_entities_that_cannot_be_read_are_reported(
    stage: Stage, entity: Entity, kind: str
) -> None:
    await stage.change(backend("k", "192.0.2.50"), route("a", "a.test", backend_ref="k"))
    assert await stage.change(entity)
    assert stage.target("a.test/") == "192.0.2.50:80"
    assert [problem.kind for problem in stage.problems] == [kind]


async def test_a_route_the_engine_refuses_is_closed_and_the_others_live(stage: Stage) -> None:
    await stage.change(
        route("a", "a.test"),
        route(
            "b",
            "b.test",
            plugins=[{"plugin": "cp:otoroshi.next.plugins.OverrideHost", "include": ["("]}],
        ),
        route("c", "c.test"),
    )
    assert stage.target("a.test/") == "192.0.2.1:80"
    assert "c" in stage.live
    assert stage.explain("b.test/")["plan"][0]["kind"] == "refuse"
    assert {problem.id for problem in stage.problems} == {"b"}


async def test_a_frontend_the_engine_refuses_leaves_the_route_as_it_was(stage: Stage) -> None:
    await stage.change(route("a", "a.test"), route("b", "b.test"))
    await stage.change(route("a", "a.test/$x<(>"), route("b", "b.test", to="192.0.2.4"))
    assert stage.target("a.test/") == "192.0.2.1:80"
    assert stage.target("b.test/") == "192.0.2.4:80"
    assert {problem.id for problem in stage.problems} == {"a"}


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"enabled": True, "trust_all": True, "loose": True}, "trust_all"),
        ({"enabled": True, "loose": True}, "loose"),
        ({"enabled": True}, None),
        ({"enabled": False, "trust_all": True}, None),
    ],
)
async def test_a_target_that_is_not_checked_is_told_and_called(
    stage: Stage, config: dict[str, bool], path: str | None
) -> None:
    target = {"hostname": "192.0.2.7", "port": 443, "tls": True, "tls_config": config}
    await stage.change(route("a", "a.test", backend={"targets": [target]}))
    assert stage.target("a.test/x") == "192.0.2.7:443"
    assert len(stage.problems) == (path is not None)
    if path is not None:
        assert f"$.backend.targets[0].tls_config.{path}" in str(stage.problems[0])
        assert "192.0.2.7" in str(stage.problems[0])


async def test_a_route_with_an_unknown_plugin_is_closed(stage: Stage) -> None:
    await stage.change(route("a", "a.test", plugins=[{"plugin": "cp:no.such.Plugin"}]))
    assert stage.explain("a.test/")["plan"][0]["kind"] == "refuse"
    assert "no plugin cp:no.such.Plugin" in stage.problems[0].message


async def test_compiling_lets_other_tasks_run(stage: Stage) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await trio.lowlevel.checkpoint()
        before = turns
        await stage.change(*(route(f"r{n}", f"{n}.test") for n in range(10 * SLICE_ROUTES)))
        assert turns - before >= 10
        nursery.cancel_scope.cancel()
    assert len(stage.live) == 10 * SLICE_ROUTES


PLUGIN = '''
"""A user plugin."""
from oto_trio.plugin_api import Exchange, Plugin, Response

class Hello(Plugin):
    """Say something."""
    id = "cp:user.Hello"
    name = "Hello"
    description = "Says something."
    categories = ("Other",)

    def call_backend(self, exchange: Exchange) -> Response:
        """Answer."""
        return Response(200, (), b"{words}")
'''


def write_plugin(path: Path, words: str) -> None:
    path.write_text(PLUGIN.replace("{words}", words))


def said(stage: Stage) -> list[bytes]:
    hooks = [hook for hook in stage.installer.hooks.inline if hook is not None]
    return [cast("Any", hook(cast("Any", None))).body for hook in hooks]


async def test_a_changed_plugin_file_recompiles_the_routes_that_use_it(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    file = tmp_path / "hello.py"
    write_plugin(file, "one")
    stage = Stage(engine, FolderPlugins(tmp_path))
    await stage.change(
        route("a", "a.test", plugins=[{"plugin": "cp:user.Hello"}]), route("b", "b.test")
    )
    assert said(stage) == [b"one"]
    installed = len(engine.installed)
    assert not await stage.installer.reload_plugins()
    assert len(engine.installed) == installed

    write_plugin(file, "a second version")
    assert await stage.installer.reload_plugins()
    assert len(engine.installed) == installed + 1
    # An exchange in flight may still be on its way to the old hook.
    assert said(stage) == [b"one", b"a second version"]
    engine.oldest_generation = stage.live.generation
    assert stage.installer.release_hooks(stage.live.generation - 1) == 0
    assert stage.installer.release_hooks(None) == 1
    assert said(stage) == [b"a second version"]


async def test_a_broken_plugin_file_keeps_the_old_code_and_is_reported(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    file = tmp_path / "hello.py"
    write_plugin(file, "one")
    stage = Stage(engine, FolderPlugins(tmp_path))
    await stage.change(route("a", "a.test", plugins=[{"plugin": "cp:user.Hello"}]))
    file.write_text("def broken(:\n")
    await stage.installer.reload_plugins()
    assert said(stage) == [b"one"]
    assert [problem.kind for problem in stage.problems] == ["plugin"]
    assert "hello.py:1" in stage.problems[0].message


async def test_a_changed_plugin_in_a_global_slot_recompiles_every_route(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    file = tmp_path / "hello.py"
    write_plugin(file, "one")
    stage = Stage(engine, FolderPlugins(tmp_path))
    await stage.change(
        route("a", "a.test"),
        route("b", "b.test"),
        global_config(plugins={"config": {"ng": [{"plugin": "cp:user.Hello"}]}}),
    )
    assert said(stage) == [b"one", b"one"]
    write_plugin(file, "two")
    await stage.installer.reload_plugins()
    assert sorted(said(stage)) == [b"one", b"one", b"two", b"two"]


async def test_without_a_folder_there_is_nothing_to_reload(stage: Stage) -> None:
    assert not await stage.installer.reload_plugins()


# ------------------------------------------------------- route compositions and service descriptors
