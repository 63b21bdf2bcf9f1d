"""The phases keep their order and their names in Otoroshi's vocabulary."""

from oto_trio.plugin_api import PHASE_ORDER, Plugin
from oto_trio.plugin_api.phases import INDEX_KEYS, OTOROSHI_STEPS


def test_the_order_is_otoroshis() -> None:
    assert [phase.value for phase in PHASE_ORDER] == [
        "sink",
        "match_route",
        "pre_route",
        "access",
        "transform_request",
        "call_backend",
        "transform_response",
        "done",
    ]


def test_every_phase_is_a_hook_and_has_its_names() -> None:
    assert all(callable(getattr(Plugin, phase.value)) for phase in PHASE_ORDER)
    assert tuple(OTOROSHI_STEPS) == tuple(INDEX_KEYS) == PHASE_ORDER[:-1]
    assert OTOROSHI_STEPS[PHASE_ORDER[3]] == "ValidateAccess"
    assert INDEX_KEYS[PHASE_ORDER[3]] == "validate_access"
