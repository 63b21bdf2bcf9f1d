"""From entities to what the engine installs: routes with their plugins become plans.

``RouteCompiler`` lowers a route to the JSON that ``Snapshot.apply`` takes; ``Hooks`` is the table that the
Python steps in it point at.
"""

from oto_trio.gateway.compile.hooks import Hooks
from oto_trio.gateway.compile.incoming import INCOMING_KEY, incoming_validators
from oto_trio.gateway.compile.route import (
    SINKS,
    Lowered,
    RouteCompiler,
    check_global_slots,
    check_route,
    compile_route,
    global_slots,
    used_plugins,
)
from oto_trio.gateway.compile.settings import snapshot_settings

__all__ = [
    "INCOMING_KEY",
    "SINKS",
    "Hooks",
    "Lowered",
    "RouteCompiler",
    "check_global_slots",
    "check_route",
    "compile_route",
    "global_slots",
    "incoming_validators",
    "snapshot_settings",
    "used_plugins",
]
