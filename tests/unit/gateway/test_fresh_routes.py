"""Routes that have just come are compiled from what came, all others from what is kept."""

import pytest

from oto_trio.gateway.compact_texts import CompactTexts
from oto_trio.gateway.frames import EntityKey
from oto_trio.gateway.installer import ROUTES
from oto_trio.testing.scripted_engine import ScriptedEngine
from tests.unit.gateway.installing import Stage, backend, route, service


async def test_a_route_that_came_is_not_read_back(
    engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    kept = CompactTexts.__getitem__

    def counted(texts: CompactTexts, text_id: str) -> bytes:
        read.append(text_id)
        return kept(texts, text_id)

    monkeypatch.setattr(CompactTexts, "__getitem__", counted)
    stage = Stage(engine)
    await stage.change(backend("k", "192.0.2.7"), route("a", "a.test"))
    await stage.change(route("b", "b.test", backend_ref="k"))
    assert read == []
    await stage.change(backend("k", "192.0.2.8"))
    assert read == ["b"]
    assert stage.target("b.test/") == "192.0.2.8:80"


async def test_what_came_with_an_earlier_change_is_not_taken_for_what_is_kept(
    engine: ScriptedEngine,
) -> None:
    stage = Stage(engine)
    # The route comes and goes at once, and never was compiled; then its id is that of another.
    await stage.change(route("s", "s.test", to="192.0.2.3"), removed=(EntityKey(ROUTES, "s"),))
    await stage.change(service("s", to="192.0.2.4"))
    assert stage.target("s.svc.test/") == "192.0.2.4:80"
    assert stage.target("s.test/") is None
