"""Incoming-request validators: what the global config has every request pass before there is a route.

They are slots like those of a route, in ``plugins.config.incoming_request_validators``; only plugins that
lower themselves to the step ``domain_names`` can look at a request that early.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from oto_trio.gateway.compile.slots import SlotCompiler
from oto_trio.model.document import inspect_document
from oto_trio.model.errors import Problem
from oto_trio.model.global_config import GlobalConfig
from oto_trio.model.plugin_slot import PluginSlot
from oto_trio.plugin_api.phases import Phase
from oto_trio.plugin_api.registry import Registry

__all__ = ["INCOMING_KEY", "incoming_validators"]

INCOMING_KEY = "incoming_request_validators"
"""The key of the global config's ``plugins.config`` that holds the slots."""

_PATH = f"$.plugins.config.{INCOMING_KEY}"
_KIND = "domain_names"

_CLOSED: dict[str, object] = {"domains": [], "listed_pass": True}
"""What stands in for a validator that cannot run: it lets nothing in."""


def incoming_validators(
    config: GlobalConfig, registry: Registry
) -> tuple[list[dict[str, object]], list[Problem]]:
    """Return the validators as the engine reads them, and what is wrong with them.

    One that cannot run is replaced by one that refuses everything: a check that was left out would open
    every route.

    Args:
        config: The global config.
        registry: Where plugins come from.

    Returns:
        The settings of the engine's checks, and problems whose paths start at the global config.
    """
    listed: object = config.plugins.config.get(INCOMING_KEY)
    if listed is None:
        return [], []
    if not isinstance(listed, list):
        return [_CLOSED], [Problem(_PATH, "expected a list of plugin slots", "write a list")]
    validators: list[dict[str, object]] = []
    problems: list[Problem] = []
    compiler = SlotCompiler(registry)
    for place, document in enumerate(cast("list[object]", listed)):
        slot, wrong = inspect_document(PluginSlot, document)
        if slot is None:
            validators.append(_CLOSED)
        elif slot.enabled:
            code = compiler.compile(slot)
            wrong = [*wrong, *code.problems]
            validator = None if code.problems else _validator(code.native)
            if validator is None or code.is_conditional:
                wrong = wrong or [_unfit(slot)]
                validator = _CLOSED
            validators.append(validator)
        problems += [
            msgspec.structs.replace(
                problem, path=f"{_PATH}[{place}]" + problem.path.removeprefix("$")
            )
            for problem in wrong
        ]
    return validators, problems


def _validator(native: Mapping[Phase, tuple[msgspec.Raw, ...]]) -> dict[str, object] | None:
    """Return what the engine's check is made of; ``None`` when the plugin is none that can look."""
    steps = native.get(Phase.ACCESS, ())
    if len(native) != 1 or len(steps) != 1:
        return None
    step: dict[str, Any] = msgspec.json.decode(steps[0])
    if step["kind"] != _KIND:
        return None
    return {key: step[key] for key in ("domains", "listed_pass")}


def _unfit(slot: PluginSlot) -> Problem:
    """Say why a slot cannot be a validator."""
    if slot.include or slot.exclude or slot.bound_listeners:
        what = "a validator looks at every request; it has no include, exclude or bound_listeners"
        return Problem("$", what, "remove them")
    what = f"{slot.plugin} cannot look at a request before there is a route"
    return Problem("$.plugin", what, "use one of the validators of domain names, or a global slot")
