"""Splitting entities into frames."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.gateway.frames import Change, DownFrame, Entity, EntityKey, UpFrame, batches

ENTITIES = st.lists(
    st.builds(
        Entity, st.sampled_from(["routes", "backends"]), st.text(max_size=8), st.binary(max_size=90)
    )
)


@given(ENTITIES, st.integers(1, 200))
def test_batches_lose_nothing_keep_the_order_and_the_limit(
    entities: list[Entity], limit: int
) -> None:
    found = list(batches(entities, limit))
    assert [entity for batch, _ in found for entity in batch] == entities
    assert [last for _, last in found] == [False] * (len(found) - 1) + [True]
    for batch, _ in found:
        size = sum(len(e.body) + len(e.id) + len(e.kind) for e in batch)
        assert size <= limit or len(batch) == 1


def test_no_entities_are_one_empty_last_batch() -> None:
    assert list(batches([])) == [([], True)]


def test_every_frame_has_a_tag_of_its_own() -> None:
    for union in (DownFrame, UpFrame):
        kinds = union.__args__
        tags = [kind.__struct_config__.tag for kind in kinds]
        assert len(set(tags)) == len(kinds)


def test_a_change_survives_the_wire() -> None:
    change = Change(9, True, [Entity("routes", "r", b"\x00{}")], [EntityKey("routes", "gone")])
    wire = msgspec.msgpack.encode(change)
    assert msgspec.msgpack.decode(wire, type=DownFrame) == change
