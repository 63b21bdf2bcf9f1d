"""An installer to which tests give entities, and entities for it."""

import json
from typing import TYPE_CHECKING, Any, cast

import trio

from oto_trio import _core
from oto_trio.gateway.frames import Change, Entity, EntityKey, ProblemReport
from oto_trio.gateway.installer import (
    BACKENDS,
    GLOBAL_CONFIG,
    ROUTES,
    Installer,
)
from oto_trio.plugin_api.folder import FolderPlugins
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.testing.scripted_engine import ScriptedEngine

if TYPE_CHECKING:
    from oto_trio.gateway.snapshots import SnapshotLike


REGISTRY = builtin_plugins()


class Stage:
    """An installer on real snapshots and a scripted engine."""

    def __init__(self, engine: ScriptedEngine, folder: FolderPlugins | None = None) -> None:
        self.engine = engine
        self.problems: list[ProblemReport] = []
        self.revision = 0
        self.installer = Installer(
            engine,
            cast("SnapshotLike", _core.Snapshot()),
            REGISTRY,
            folder=folder,
            clock=trio.current_time,
            report=self.problems.append,
        )

    async def change(
        self, *entities: Entity, removed: tuple[EntityKey, ...] = (), last: bool = True
    ) -> bool:
        self.revision += last
        return await self.installer.take(Change(self.revision, last, list(entities), list(removed)))

    @property
    def live(self) -> _core.Snapshot:
        return cast("_core.Snapshot", self.engine.installed[-1])

    def explain(self, url: str, method: str = "GET") -> dict[str, Any]:
        host, slash, path = url.partition("/")
        return self.live.explain(method, host, slash + path or "/", [])

    def target(self, url: str) -> str | None:
        target = self.explain(url).get("target")
        return None if target is None else target["address"]


def route(
    name: str, domain: str, *, to: str = "192.0.2.1", plugins: object = (), **more: object
) -> Entity:
    document = {
        "id": name,
        "name": name,
        "frontend": {"domains": [domain]},
        "backend": {"targets": [{"hostname": to, "port": 80}]},
        "plugins": list(cast("list[object]", plugins)),
        **more,
    }
    return Entity(ROUTES, name, json.dumps(document).encode())


def backend(name: str, to: str) -> Entity:
    document = {
        "id": name,
        "name": name,
        "backend": {"targets": [{"hostname": to, "port": 80}]},
    }
    return Entity(BACKENDS, name, json.dumps(document).encode())


def global_config(**more: object) -> Entity:
    return Entity(GLOBAL_CONFIG, "global", json.dumps(more).encode())


SERVICE = "service-descriptors"
COMPOSITION = "route-compositions"


def composition(name: str, *parts: dict[str, Any], **more: object) -> Entity:
    document = {"id": name, "name": name, "routes": list(parts), **more}
    return Entity("route-compositions", name, json.dumps(document).encode())


def part(domain: str, to: str = "192.0.2.1", **more: object) -> dict[str, Any]:
    backend = {"targets": [{"hostname": to, "port": 80}]}
    return {"frontend": {"domains": [domain]}, "backend": backend, **more}


def service(name: str, to: str = "192.0.2.1", **more: object) -> Entity:
    document = {
        "id": name,
        "subdomain": name,
        "domain": "svc.test",
        "targets": [{"host": f"{to}:80", "scheme": "http"}],
        "publicPatterns": ["/.*"],
        "sendInfoToken": False,
        "forceHttps": False,
        "enforceSecureCommunication": False,
        **more,
    }
    return Entity("service-descriptors", name, json.dumps(document).encode())
