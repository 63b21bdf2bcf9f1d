"""Routes of compositions and services among those that are stored."""

import pytest

from oto_trio.gateway.frames import EntityKey, SnapshotFull
from oto_trio.gateway.installer import (
    BACKENDS,
    ROUTES,
)
from oto_trio.testing.scripted_engine import ScriptedEngine
from tests.unit.gateway.installing import (
    COMPOSITION,
    SERVICE,
    Stage,
    backend,
    composition,
    global_config,
    part,
    route,
    service,
)


@pytest.fixture
def stage(engine: ScriptedEngine) -> Stage:
    return Stage(engine)


async def test_compositions_and_services_take_requests_and_follow_their_changes(
    stage: Stage,
) -> None:
    await stage.change(service("s"), composition("c", part("a.test"), part("b.test", "192.0.2.2")))
    assert (stage.target("s.svc.test/"), stage.target("b.test/")) == (
        "192.0.2.1:80",
        "192.0.2.2:80",
    )
    assert stage.installer.routes == 3
    await stage.change(service("s", "192.0.2.7"), composition("c", part("a.test", "192.0.2.8")))
    assert stage.target("s.svc.test/") == "192.0.2.7:80"
    assert stage.target("a.test/") == "192.0.2.8:80"
    assert stage.target("b.test/") is None
    await stage.change(service("s", enabled=False), composition("c", enabled=False))
    assert len(stage.live) == 0
    await stage.change(service("s"), composition("c", part("a.test")))
    assert len(stage.live) == 2
    await stage.change(removed=(EntityKey(SERVICE, "s"), EntityKey(COMPOSITION, "c")))
    assert len(stage.live) == 0
    assert stage.problems == []


async def test_a_snapshot_removes_compositions_and_services_that_it_does_not_name(
    stage: Stage,
) -> None:
    await stage.change(service("s"), service("t"), composition("c", part("a.test")))
    await stage.installer.take(SnapshotFull(9, 0, True, [service("t")]))
    assert len(stage.live) == 1
    assert "t" in stage.live


async def test_a_service_that_cannot_be_read_stays_as_it_was(stage: Stage) -> None:
    await stage.change(service("s"))
    await stage.change(service("s", "192.0.2.2", publicPatterns="/.*"))
    assert stage.target("s.svc.test/") == "192.0.2.1:80"
    (problem,) = stage.problems
    assert (problem.kind, problem.id) == (SERVICE, "s")
    assert "it stays as it was" in problem.message


async def test_a_service_with_a_check_that_is_not_here_answers_503(stage: Stage) -> None:
    await stage.change(service("s", clientValidatorRef="v"))
    assert stage.target("s.svc.test/") is None
    assert stage.explain("s.svc.test/")["route"]["id"] == "s"
    (problem,) = stage.problems
    assert (problem.kind, problem.id) == (SERVICE, "s")
    assert "$.clientValidatorRef" in problem.message
    # Every route is compiled again, and this one stays closed.
    await stage.change(global_config(plugins={"config": {"ng": [{"plugin": "cp:no.such"}]}}))
    assert stage.target("s.svc.test/") is None
    await stage.change(service("s"), global_config())
    assert stage.target("s.svc.test/") == "192.0.2.1:80"


async def test_no_entity_takes_the_place_of_anothers_route(stage: Stage) -> None:
    await stage.change(
        route("c-0", "route.test", to="192.0.2.1"),
        composition("c", part("part.test", "192.0.2.2")),
        service("c-0", "192.0.2.3"),
    )
    addresses = ("route.test/", "part.test/", "c-0.svc.test/")
    assert [stage.target(url) for url in addresses] == [
        "192.0.2.1:80",
        "192.0.2.2:80",
        "192.0.2.3:80",
    ]
    await stage.change(removed=(EntityKey(ROUTES, "c-0"), EntityKey(COMPOSITION, "c")))
    assert [stage.target(url) for url in addresses] == [None, None, "192.0.2.3:80"]
    await stage.change(removed=(EntityKey(SERVICE, "c-0"),))
    assert len(stage.live) == 0


async def test_a_stored_route_has_the_first_right_to_its_id(stage: Stage) -> None:
    await stage.change(service("x", "192.0.2.3", clientValidatorRef="v"), service("y"))
    await stage.change(route("x", "route.test", to="192.0.2.1"), route("y", "y-route.test"))
    assert stage.explain("route.test/")["route"]["id"] == "x"
    assert stage.target("y.svc.test/") == "192.0.2.1:80"
    # It keeps its domain, and stays closed.
    assert stage.explain("x.svc.test/")["route"]["id"] == "x~"
    assert stage.target("x.svc.test/") is None
    await stage.change(service("x", "192.0.2.4"))
    assert stage.target("x.svc.test/") == "192.0.2.4:80"
    await stage.change(removed=(EntityKey(ROUTES, "x"),))
    assert stage.target("route.test/") is None
    assert stage.target("x.svc.test/") == "192.0.2.4:80"


async def test_the_routes_of_a_composition_follow_the_backend_they_refer_to(stage: Stage) -> None:
    parts = part("a.test", backend_ref="k"), part("b.test")
    await stage.change(composition("c", *parts), backend("k", "192.0.2.50"))
    assert stage.target("a.test/") == "192.0.2.50:80"
    await stage.change(backend("k", "192.0.2.51"))
    assert stage.target("a.test/") == "192.0.2.51:80"
    await stage.change(removed=(EntityKey(BACKENDS, "k"),))
    assert stage.target("a.test/") is None
    assert {(problem.kind, problem.id) for problem in stage.problems} == {(COMPOSITION, "c")}
