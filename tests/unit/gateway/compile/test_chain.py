"""The order of slots in each phase is Otoroshi's."""

import msgspec
from msgspec import UNSET

from oto_trio.gateway.compile.chain import ChainSlot, in_order
from oto_trio.gateway.compile.slots import SlotCode
from oto_trio.model.plugin_slot import PluginIndex, PluginSlot
from oto_trio.plugin_api import Phase, WebSocketPlugin


class Looking(WebSocketPlugin):
    """Looks at messages."""


BOTH = (Phase.TRANSFORM_REQUEST, Phase.TRANSFORM_RESPONSE)


def entry(
    name: str,
    *phases: Phase,
    is_global: bool = False,
    conditional: bool = False,
    looks: bool = False,
    **index: float,
) -> ChainSlot:
    plugin_index = msgspec.convert(index, PluginIndex) if index else UNSET
    slot = PluginSlot(plugin=name, plugin_index=plugin_index)
    code = SlotCode(phases, plugin=Looking if looks else None, is_conditional=conditional)
    return ChainSlot(slot, code, 0, is_global)


def names(chain: list[ChainSlot], phase: Phase) -> str:
    return " ".join(entry.slot.plugin for entry in in_order(chain, phase))


def test_without_index_the_order_is_the_declared_one() -> None:
    chain = [entry("g", Phase.ACCESS, is_global=True), entry("x"), entry("a", Phase.ACCESS)]
    assert names(chain, Phase.ACCESS) == "g a"
    assert names(chain, Phase.DONE) == ""


def test_an_index_goes_first_ascending_and_decimals_count() -> None:
    chain = [
        entry("a", Phase.ACCESS),
        entry("b", Phase.ACCESS, validate_access=2.0),
        entry("c", Phase.ACCESS, validate_access=1.5),
        entry("d", Phase.ACCESS, pre_route=0.0),
        entry("e", Phase.ACCESS, validate_access=1.5),
    ]
    assert names(chain, Phase.ACCESS) == "c e b a d"


def test_done_has_no_index() -> None:
    chain = [entry("a", Phase.DONE), entry("b", Phase.DONE, pre_route=0)]
    assert names(chain, Phase.DONE) == "a b"


def test_both_transform_phases_share_one_order() -> None:
    chain = [
        entry("plain", *BOTH),
        entry("response", *BOTH, transform_response=0),
        entry("late", *BOTH, transform_request=2, transform_response=0),
        entry("early", *BOTH, transform_request=1, transform_response=9),
        entry("only", Phase.TRANSFORM_RESPONSE, transform_response=1),
    ]
    assert names(chain, Phase.TRANSFORM_REQUEST) == "early late response plain"
    assert names(chain, Phase.TRANSFORM_RESPONSE) == "early late response only plain"


def test_the_first_backend_that_takes_every_request_is_the_last() -> None:
    chain = [
        entry("some", Phase.CALL_BACKEND, conditional=True),
        entry("all", Phase.CALL_BACKEND),
        entry("never", Phase.CALL_BACKEND),
    ]
    assert names(chain, Phase.CALL_BACKEND) == "some all"
    chain = [*chain, entry("first", Phase.CALL_BACKEND, call_backend=1)]
    assert names(chain, Phase.CALL_BACKEND) == "first"


def test_backends_that_only_take_some_requests_are_all_asked() -> None:
    chain = [entry(name, Phase.CALL_BACKEND, conditional=True) for name in "ab"]
    assert names(chain, Phase.CALL_BACKEND) == "a b"


def test_only_the_routes_own_matchers_count() -> None:
    chain = [entry("g", Phase.MATCH_ROUTE, is_global=True), entry("r", Phase.MATCH_ROUTE)]
    assert names(chain, Phase.MATCH_ROUTE) == "r"


def test_equal_slots_are_both_there() -> None:
    chain = [entry("a", *BOTH, transform_request=1), entry("a", *BOTH, transform_request=1)]
    assert names(chain, Phase.TRANSFORM_REQUEST) == "a a"


def test_who_looks_at_messages_has_an_index_of_its_own() -> None:
    chain = [
        entry("a", *BOTH, looks=True),
        entry("x", *BOTH, handles_websocket=0),
        entry("b", *BOTH, looks=True, handles_websocket=2),
        entry("y", *BOTH),
        entry("c", *BOTH, looks=True, handles_websocket=1.5),
        entry("d", *BOTH, looks=True),
    ]
    assert names(chain, Phase.TRANSFORM_REQUEST) == "c x b y a d"
    assert names(chain, Phase.TRANSFORM_RESPONSE) == "a x b y c d"


def test_without_that_index_messages_follow_the_request() -> None:
    chain = [
        entry("a", *BOTH, looks=True),
        entry("b", *BOTH, looks=True, transform_request=1),
        entry("c", *BOTH, looks=True, transform_response=0),
    ]
    assert names(chain, Phase.TRANSFORM_REQUEST) == "b c a"


def test_both_indexes_order_what_each_is_for() -> None:
    chain = [
        entry("a", *BOTH, looks=True, transform_request=1, handles_websocket=2),
        entry("b", *BOTH, looks=True, transform_request=2, handles_websocket=1),
        entry("x", *BOTH, transform_request=1.5),
    ]
    assert names(chain, Phase.TRANSFORM_REQUEST) == "b x a"
