"""Code that few routes need: loaded in a thread, before what needs it is live."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, cast

import trio

from oto_trio import _core
from oto_trio.gateway.frames import Change, Entity
from oto_trio.gateway.installer import ROUTES, Installer
from oto_trio.gateway.loading import HTTP3_BACKENDS, HTTP3_LISTENERS, WEBSOCKETS, load
from oto_trio.plugin_api.registry import builtin_plugins

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from oto_trio.gateway.snapshots import SnapshotLike
    from oto_trio.testing.scripted_engine import ScriptedEngine


def route(name: str, protocol: str, *plugins: str) -> Entity:
    document = {
        "id": name,
        "name": name,
        "frontend": {"domains": [f"{name}.test"]},
        "backend": {"targets": [{"hostname": "192.0.2.1", "port": 443, "protocol": protocol}]},
        "plugins": [{"plugin": f"cp:otoroshi.next.plugins.{plugin}"} for plugin in plugins],
    }
    return Entity(ROUTES, name, json.dumps(document).encode())


async def test_the_loop_goes_on_while_what_a_route_needs_is_loaded_and_then_it_is_live(
    engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = cast("SnapshotLike", _core.Snapshot())
    installer = Installer(
        engine,
        snapshot,
        builtin_plugins(),
        folder=None,
        clock=trio.current_time,
        report=lambda report: None,
    )
    loop = threading.get_ident()
    begun, may_go_on = trio.Event(), threading.Event()
    loaded: list[str] = []
    really = importlib.import_module

    def slowly(name: str, package: str | None = None) -> object:
        if threading.get_ident() == loop:
            return really(name, package)  # a plugin's own
        trio.from_thread.run_sync(begun.set)
        assert may_go_on.wait(30)
        loaded.append(name)
        return None

    monkeypatch.setattr(importlib, "import_module", slowly)
    for module in (WEBSOCKETS, HTTP3_BACKENDS):
        monkeypatch.delitem(sys.modules, module, raising=False)
    await installer.take(Change(1, True, [route("plain", "HTTP/1.1", "OverrideHost")], []))
    assert len(engine.installed) == 1
    new = [route("far", "HTTP/3.0"), route("chat", "HTTP/1.1", "WebsocketMirrorBackend")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(installer.take, Change(2, True, new, []))
        with trio.fail_after(30):
            await begun.wait()
        assert len(engine.installed) == 1
        may_go_on.set()
    assert sorted(loaded) == sorted([WEBSOCKETS, HTTP3_BACKENDS])
    assert len(engine.installed) == 2


async def test_what_cannot_be_loaded_is_logged_and_the_rest_is_there(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # One that no other test has loaded.
    (tmp_path / "hardly_ever_needed.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    await load(["oto_trio.gateway.nothing", "hardly_ever_needed"])
    assert "oto_trio.gateway.nothing cannot be loaded" in caplog.text
    assert "hardly_ever_needed" in sys.modules


def test_the_names_are_those_of_modules_that_workers_begin_without() -> None:
    names = {HTTP3_BACKENDS, HTTP3_LISTENERS, WEBSOCKETS}
    script = (
        "import importlib, sys, oto_trio.gateway.worker; "
        f"early = sys.modules.keys() & {names!r}; "
        f"[importlib.import_module(name) for name in {names!r}]; print(*early)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert told.stdout.split() == []
