"""The table of bound hooks: a number keeps its meaning while any snapshot holds it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from oto_trio.gateway.compile import Hooks
from oto_trio.plugin_api import Exchange, Phase, Plugin, PluginError


class Gate(Plugin):
    id = "cp:test.Gate"

    @override
    def pre_route(self, exchange: Exchange) -> None: ...

    @override
    async def access(self, exchange: Exchange) -> None: ...


class Broken(Gate):
    def __init__(self, config: None) -> None:
        raise ValueError("broken")


PHASES = (Phase.PRE_ROUTE, Phase.ACCESS)


def bind(hooks: Hooks, route_id: str, *keys: bytes) -> list[dict[Phase, int]]:
    staged = hooks.stage(route_id)
    return [staged.bind(Gate, None, key, PHASES) for key in keys]


def instance(hooks: Hooks, slot: int) -> Any:
    hook: Any = hooks.inline[slot] or hooks.suspending[slot]
    return hook.__self__


def test_hooks_are_sorted_by_kind() -> None:
    hooks = Hooks()
    (slots,) = bind(hooks, "r1", b"a")
    inline, waiting = slots[Phase.PRE_ROUTE], slots[Phase.ACCESS]
    assert hooks.inline[inline] is not None
    assert hooks.suspending[inline] is None
    assert hooks.inline[waiting] is None
    assert hooks.suspending[waiting] is not None
    assert hooks.phases[waiting] == "access"
    assert hooks.plugins[waiting] == "cp:test.Gate"
    assert hooks.routes[waiting] == "r1"
    assert instance(hooks, inline) is instance(hooks, waiting)
    assert len(hooks) == 2


def test_an_unchanged_slot_keeps_number_and_instance() -> None:
    hooks = Hooks()
    (before,) = bind(hooks, "r1", b"a")
    kept = instance(hooks, before[Phase.PRE_ROUTE])
    hooks.commit(1)
    other, after = bind(hooks, "r1", b"b", b"a")
    hooks.commit(2)
    assert after == before
    assert instance(hooks, after[Phase.PRE_ROUTE]) is kept
    assert other != after
    assert hooks.release(2) == 0


def test_equal_slots_of_one_route_are_different_instances() -> None:
    hooks = Hooks()
    first, second = bind(hooks, "r1", b"a", b"a")
    assert first != second
    hooks.commit(1)
    assert bind(hooks, "r1", b"a", b"a") == [first, second]


def test_a_retired_hook_is_dropped_when_no_old_snapshot_is_left() -> None:
    hooks = Hooks()
    (old,) = bind(hooks, "r1", b"a")
    hooks.commit(1)
    (new,) = bind(hooks, "r1", b"b")
    hooks.commit(2)
    assert hooks.release(1) == 0
    assert hooks.inline[old[Phase.PRE_ROUTE]] is not None
    assert hooks.release(2) == 2
    assert hooks.inline[old[Phase.PRE_ROUTE]] is None
    assert hooks.suspending[old[Phase.ACCESS]] is None
    assert hooks.inline[new[Phase.PRE_ROUTE]] is not None
    assert len(hooks) == 2


def test_a_removed_route_retires_its_hooks() -> None:
    hooks = Hooks()
    bind(hooks, "r1", b"a")
    hooks.commit(1)
    hooks.stage_removal("r1")
    hooks.commit(2)
    assert hooks.release(2) == 2
    assert len(hooks) == 0


def test_a_rollback_leaves_what_is_live() -> None:
    hooks = Hooks()
    (live,) = bind(hooks, "r1", b"a")
    hooks.commit(1)
    bind(hooks, "r1", b"a", b"b")
    bind(hooks, "r2", b"a")
    hooks.rollback(["r1"])
    assert len(hooks) == 4, "r2 is still staged"
    hooks.rollback()
    assert len(hooks) == 2
    hooks.commit(2)
    assert hooks.inline[live[Phase.PRE_ROUTE]] is not None
    assert hooks.release(2) == 0


def test_staging_again_undoes_the_first_time() -> None:
    hooks = Hooks()
    bind(hooks, "r1", b"a")
    (slots,) = bind(hooks, "r1", b"b")
    hooks.commit(1)
    assert len(hooks) == 2
    assert hooks.inline[slots[Phase.PRE_ROUTE]] is not None


def test_dropped_numbers_are_given_out_again() -> None:
    hooks = Hooks()
    for generation in range(1, 100):
        bind(hooks, "r1", str(generation).encode())
        hooks.commit(generation)
        hooks.release(generation)
    assert len(hooks.inline) <= 4


def test_a_constructor_that_fails_binds_nothing() -> None:
    hooks = Hooks()
    with pytest.raises(PluginError, match="broken"):
        hooks.stage("r1").bind(Broken, None, b"a", PHASES)
    assert len(hooks) == 0


ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"), st.sampled_from("pq"), st.lists(st.sampled_from("ab"), max_size=3)
        ),
        st.tuples(st.just("remove"), st.sampled_from("pq"), st.just([])),
        st.tuples(st.sampled_from(["commit", "rollback", "release"]), st.just(""), st.just([])),
    ),
    max_size=40,
)


@given(ACTIONS)
def test_a_number_of_a_snapshot_in_use_never_changes_its_meaning(
    actions: list[tuple[str, str, list[str]]],
) -> None:
    hooks = Hooks()
    generation = 0
    live: dict[str, list[int]] = {}
    staged: dict[str, list[int]] = {}
    # (generation, slot -> instance) of every snapshot that may still be in use.
    snapshots: list[tuple[int, dict[int, Any]]] = []
    for action, route, keys in actions:
        if action == "write":
            bound = bind(hooks, route, *(key.encode() for key in keys))
            staged[route] = [slot for slots in bound for slot in slots.values()]
        elif action == "remove":
            hooks.stage_removal(route)
            staged[route] = []
        elif action == "commit":
            generation += 1
            hooks.commit(generation)
            live |= staged
            staged = {}
            held = [slot for slots in live.values() for slot in slots]
            snapshots.append((generation, {slot: instance(hooks, slot) for slot in held}))
        elif action == "rollback":
            hooks.rollback()
            staged = {}
        else:
            snapshots = snapshots[-2:]
            hooks.release(snapshots[0][0] if snapshots else generation)
        for _, slots in snapshots:
            for slot, known in slots.items():
                assert instance(hooks, slot) is known
    hooks.rollback()
    hooks.release(generation)
    assert len(hooks) == sum(map(len, live.values()))
