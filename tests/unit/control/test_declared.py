"""Declared entities: from a file or flag into the store, and out again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oto_trio.control import declared as declared_module
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES
from oto_trio.control.config_files import ConfigFile, read_config_file
from oto_trio.control.declared import (
    MARK,
    Declaration,
    DeclarationError,
    quick_route,
    read_declared,
    reconcile,
    unread_keys,
)
from oto_trio.control.first_start import bootstrap
from oto_trio.control.store import MemoryStore
from oto_trio.model.backend import Backend
from oto_trio.model.document import write_document
from oto_trio.model.route import Route

FILE = Path("gateway.yaml")


def declared(routes: Sequence[object] = (), backends: Sequence[object] = ()) -> list[Declaration]:
    file = ConfigFile(FILE, {}, {"routes": list(routes), "backends": list(backends)}, [])
    declarations, problems = read_declared(file)
    assert problems == []
    return declarations


def route(name: str, to: str = "http://192.0.2.1") -> dict[str, Any]:
    return {"id": name, "name": name, "frontend": f"{name}.test", "backend": to}


def backend(name: str, to: str = "http://192.0.2.1") -> dict[str, Any]:
    return {"id": name, "name": name, "backend": to}


def test_short_forms_are_written_out(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        """
routes:
  - name: My users
    frontend: api.localhost/users
    backend: https://backend.test:9443/v2
    plugins: [cp:otoroshi.next.plugins.OverrideHost, {plugin: cp:x, enabled: false}]
backends:
  - id: k
    backend: http://192.0.2.1
"""
    )
    (stored, found), problems = read_declared(read_config_file(path))
    assert problems == []
    assert isinstance(stored.entity, Backend)
    assert (stored.entity.id, stored.entity.name) == ("k", "k")
    entity = found.entity
    assert isinstance(entity, Route)
    assert entity.id == "route_my-users"
    assert entity.frontend.domains == ("api.localhost/users",)
    target = entity.backend.targets[0]
    assert (target.hostname, target.port, target.tls) == ("backend.test", 9443, True)
    assert entity.backend.root == "/v2"
    assert [slot.enabled for slot in entity.plugins] == [True, False]
    assert entity.metadata[MARK] == str(path)


def test_every_kind_can_be_declared(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        """
apikeys:
  - {clientName: Billing, clientSecret: not-a-secret, authorizedEntities: [group_default]}
jwt-verifiers:
  - name: Partners
    source: {type: InHeader, name: Authorization, remove: "Bearer "}
    algoSettings: {type: HSAlgoSettings, size: 256, secret: not-a-secret}
    strategy: {type: PassThrough, verificationSettings: {fields: {}}}
data-exporters:
  - {name: Out, type: console, config: {}}
"""
    )
    declarations, problems = read_declared(read_config_file(path))
    assert problems == []
    assert {(type(d.entity).__name__, d.entity.id) for d in declarations} == {
        ("ApiKey", "apikey_billing"),
        ("JwtVerifier", "jwt_verifier_partners"),
        ("DataExporter", "data_exporter_out"),
    }


def test_problems_have_the_path_in_the_file() -> None:
    file = ConfigFile(
        FILE,
        {},
        {
            "routes": [route("a"), 3, {"id": "b"}, route("a"), {**route("c"), "id": "\n"}],
            "backends": [{"id": "k", "name": "k", "backend": "ftp://x"}],
        },
        [],
    )
    declarations, problems = read_declared(file)
    assert [d.entity.id for d in declarations] == ["a", "b"]
    assert [problem.path for problem in problems] == [
        "$.backends[0].backend.url",
        "$.routes[1]",
        "$.routes[3].id",
        "$.routes[4].id",
    ]
    assert any("that of $.routes[0] already" in problem.message for problem in problems)


def test_keys_that_nothing_reads_are_found_at_any_depth() -> None:
    (declaration,) = declared(
        [
            {
                **route("a"),
                "fronted": 1,
                "backend": {"targets": [{"hostname": "h", "port": 1, "prot": 2}]},
            }
        ]
    )
    problems = unread_keys(declaration)
    assert {problem.path for problem in problems} == {
        "$.routes[0].fronted",
        "$.routes[0].backend.targets[0].prot",
    }
    assert all(problem.severity == "warning" for problem in problems)


def test_a_class_is_taken_apart_once_however_many_are_declared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declarations = declared([route(f"r{number}") for number in range(50)])
    asked: list[type] = []
    fields = msgspec.structs.fields

    def counted(cls: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
        asked.append(cls)
        return fields(cls)

    monkeypatch.setattr(msgspec.structs, "fields", counted)
    assert [unread_keys(declaration) for declaration in declarations] == [[]] * 50
    assert len(asked) == len(set(asked))


def test_a_quick_route_has_what_a_new_route_has() -> None:
    declaration, problems = quick_route("api.localhost/users=http://127.0.0.1:9000/v2?x=1")
    assert problems == []
    assert declaration is not None
    entity = declaration.entity
    assert isinstance(entity, Route)
    assert entity.id == "route_api-localhost-users"
    assert entity.frontend.domains == ("api.localhost/users",)
    assert entity.backend.targets[0].port == 9000
    assert [slot.plugin for slot in entity.plugins] == ["cp:otoroshi.next.plugins.OverrideHost"]


@pytest.mark.parametrize(
    "text", ["", "api.localhost", "=http://x", "api.localhost=", "a=ftp://x", "a b=http://x"]
)
def test_a_quick_route_that_is_none_is_told_with_an_example(text: str) -> None:
    declaration, (problem,) = quick_route(text)
    assert declaration is None
    assert "api.localhost/users=http://127.0.0.1:9000" in problem.fix


def test_a_quick_route_to_a_wrong_port_is_told() -> None:
    declaration, problems = quick_route("a.test=http://x:99999")
    assert declaration is None
    assert problems


async def stored(store: MemoryStore) -> dict[str, Any]:
    return {
        record.id: json.loads(record.document)
        for kind in ("routes", "backends")
        for record in await store.list(kind)
    }


@pytest.fixture(params=[1, 1000], ids=["walks", "asks"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared_module, "WALK_FROM", request.param)


@pytest.mark.usefixtures("_way")
async def test_the_store_holds_what_is_declared_and_no_more() -> None:
    async with MemoryStore() as store:
        assert await reconcile(store, declared([route("a"), route("b")], [backend("k")])) == 3
        assert set(await stored(store)) == {"a", "b", "k"}
        before = store.revision
        assert await reconcile(store, declared([route("a"), route("b")], [backend("k")])) == 0
        assert store.revision == before
        changed = declared([route("b", "http://192.0.2.9"), route("c")])
        assert await reconcile(store, changed) == 4
        assert set(await stored(store)) == {"b", "c"}
        assert (await stored(store))["b"]["backend"]["targets"][0]["hostname"] == "192.0.2.9"
        assert await reconcile(store, []) == 2
        assert await stored(store) == {}


@pytest.mark.usefixtures("_way")
async def test_entities_of_others_are_neither_removed_nor_overwritten() -> None:
    async with MemoryStore() as store:
        await store.put("routes", "theirs", b'{"id":"theirs"}')
        await reconcile(store, declared([route("a")]))
        await reconcile(store, [])
        assert set(await stored(store)) == {"theirs"}
        before = store.revision
        with pytest.raises(DeclarationError, match=r"\$\.routes\[1\].*'theirs'.*admin API"):
            await reconcile(store, declared([route("a"), route("theirs")]))
        assert store.revision == before


@pytest.mark.usefixtures("_way")
async def test_a_declared_entity_that_was_changed_or_removed_comes_back() -> None:
    async with MemoryStore() as store:
        await reconcile(store, declared([route("a"), route("b")]))
        await store.put("routes", "a", b'{"id":"a","edited":true}')
        await store.delete("routes", "b")
        assert await reconcile(store, declared([route("a"), route("b")])) == 2
        assert "edited" not in (await stored(store))["a"]
        assert set(await stored(store)) == {"a", "b"}


async def test_everything_is_one_transaction() -> None:
    async with MemoryStore() as store:
        before = store.revision
        await reconcile(store, declared([route("a"), route("b")], [backend("k")]))
        assert store.revision == before + 1


# ------------------------------------------------------------------------ the global configuration


def global_config(**more: Any) -> list[Declaration]:
    raw: dict[str, Any] = {"otoroshiId": "cluster", **more}
    declarations, problems = read_declared(ConfigFile(FILE, {}, {"global-configs": [raw]}, []))
    assert problems == []
    return declarations


async def test_the_global_configuration_is_overwritten_and_never_removed() -> None:
    async with MemoryStore() as store:
        assert await bootstrap(store)
        (declaration,) = global_config(maintenanceMode=True)
        assert await reconcile(store, [declaration]) == 1
        record = await store.get("global-config", "global")
        assert record is not None
        stored = json.loads(record.document)
        assert (stored["maintenanceMode"], stored["otoroshiId"]) == (True, "cluster")
        assert stored["metadata"][MARK] == str(FILE)
        assert await reconcile(store, [declaration]) == 0
        await reconcile(store, [])
        assert await store.get("global-config", "global") == record


def test_a_declared_global_configuration_names_its_cluster() -> None:
    file = ConfigFile(FILE, {}, {"global-configs": [{"maintenanceMode": True}]}, [])
    declarations, (problem,) = read_declared(file)
    assert declarations == []
    assert problem.path == "$.global-configs[0].otoroshiId"


def test_every_template_of_the_admin_api_can_be_declared() -> None:
    for row in LEGACY_RESOURCES:
        if row.template is None:
            continue
        raw = write_document(row.template("prod"))
        declarations, problems = read_declared(ConfigFile(FILE, {}, {row.plural: [raw]}, []))
        assert problems == [], row.plural
        assert [d.kind for d in declarations] == [row.store_kind]
