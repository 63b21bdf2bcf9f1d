"""In which order the slots of a route act in each phase.

Source: Otoroshi. All enabled slots, global ones first. In a phase, the slots that have an index for it
come first, ascending; the others follow as declared. The two transform phases share one order. Plugins that look at messages of
WebSockets have an index of their own for the order in which they are asked about each, ``handles_websocket``.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import UNSET

from oto_trio.gateway.compile.slots import SlotCode
from oto_trio.model.plugin_slot import PluginSlot
from oto_trio.plugin_api.phases import INDEX_KEYS, PHASE_ORDER, TRANSFORM_PHASES, Phase
from oto_trio.plugin_api.websockets import WebSocketPlugin

__all__ = ["ChainSlot", "in_order"]

_MESSAGES: Final = "handles_websocket"
"""The index that orders plugins which look at messages."""


class ChainSlot(NamedTuple):
    """A slot of a route's chain; ``position`` is where it is listed, in the route or globally."""

    slot: PluginSlot
    code: SlotCode
    position: int
    is_global: bool = False


def in_order(chain: Sequence[ChainSlot], phase: Phase) -> list[ChainSlot]:
    """Return the slots that act in a phase, in the order in which they do.

    In ``call_backend`` nothing comes after a slot that handles every request: Otoroshi calls the
    first one only, and that one may pass the call on to the target. In ``match_route`` only the route's
    own slots count.
    """
    acting = [entry for entry in chain if phase in entry.code.phases]
    if len(acting) > 1 and any(entry.slot.plugin_index is not UNSET for entry in acting):
        if phase in TRANSFORM_PHASES:
            acting = [entry for entry in _transformers(chain) if phase in entry.code.phases]
        else:
            acting = _by_index(acting, phase)
    if phase is Phase.TRANSFORM_REQUEST:
        # It is there that they join a connection, the first to be asked first.
        acting = _with_messages_in_order(acting)
    if phase is Phase.MATCH_ROUTE:
        return [entry for entry in acting if not entry.is_global]
    if phase is Phase.CALL_BACKEND:
        for position, entry in enumerate(acting):
            if not entry.code.is_conditional:
                return acting[: position + 1]
    return acting


def _with_messages_in_order(acting: list[ChainSlot]) -> list[ChainSlot]:
    """Have the slots that look at messages change places among themselves, as ``handles_websocket`` says."""
    looking = [entry for entry in acting if _looks_at_messages(entry)]
    indexed = [(index, e) for e in looking if (index := _told(e, _MESSAGES)) is not None]
    if not indexed or len(looking) < 2:
        return acting
    indexed.sort(key=lambda pair: pair[0])
    ordered = [e for _, e in indexed] + [e for e in looking if _told(e, _MESSAGES) is None]
    turns = iter(ordered)
    return [next(turns) if _looks_at_messages(entry) else entry for entry in acting]


def _looks_at_messages(entry: ChainSlot) -> bool:
    plugin = entry.code.plugin
    return plugin is not None and issubclass(plugin, WebSocketPlugin)


def _index(entry: ChainSlot, phase: Phase) -> float | None:
    """Return a slot's index for a phase."""
    key = INDEX_KEYS.get(phase)
    return None if key is None else _told(entry, key)


def _told(entry: ChainSlot, key: str) -> float | None:
    """Return an index of a slot; None when it has none."""
    indexes = entry.slot.plugin_index
    if indexes is UNSET:
        return None
    index: object = getattr(indexes, key)
    return index if isinstance(index, int | float) else None


def _by_index(acting: Sequence[ChainSlot], phase: Phase) -> list[ChainSlot]:
    """Sort the slots with an index before the others; both sorts are stable."""
    indexed = [(index, e) for e in acting if (index := _index(e, phase)) is not None]
    indexed.sort(key=lambda pair: pair[0])
    return [e for _, e in indexed] + [e for e in acting if _index(e, phase) is None]


def _transformers(chain: Sequence[ChainSlot]) -> list[ChainSlot]:
    """Return the slots that transform, in the one order both transform phases use.

    Those with a request index, ascending; then those with only a response index, ascending; then the
    others. So a slot with both indexes has its place in the response decided by the request's.
    """
    transforming = [e for e in chain if any(phase in e.code.phases for phase in TRANSFORM_PHASES)]
    ordered: list[ChainSlot] = []
    for phase in TRANSFORM_PHASES:
        with_index = [e for e in transforming if _index(e, phase) is not None]
        ordered += [e for e in _by_index(with_index, phase) if not _is_in(e, ordered)]
    return ordered + [e for e in transforming if not _is_in(e, ordered)]


def _is_in(entry: ChainSlot, entries: Sequence[ChainSlot]) -> bool:
    """Tell whether this very slot is in a list; an equal one elsewhere in the chain is another."""
    return any(entry is other for other in entries)


assert tuple(INDEX_KEYS) == PHASE_ORDER[:-1], "every phase but `done` has an index key"
