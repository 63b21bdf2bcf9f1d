"""From entities to what the engine installs: routes with their plugins become plans.

``derive_routes`` makes the routes that other entities mean. ``RouteCompiler`` lowers a route to the JSON that ``Snapshot.apply`` takes; ``Hooks`` is the table that the
Python steps in it point at.
"""

from oto_trio.gateway.compile.compositions import composed_path, composed_routes
from oto_trio.gateway.compile.derived import DERIVED_KINDS, DerivedRoute, derive_routes
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
from oto_trio.gateway.compile.services import (
    ConvertedService,
    Surroundings,
    convert_service,
    service_path,
)
from oto_trio.gateway.compile.settings import snapshot_settings
from oto_trio.gateway.compile.words import configured_words, unjudged

__all__ = [
    "DERIVED_KINDS",
    "INCOMING_KEY",
    "SINKS",
    "ConvertedService",
    "DerivedRoute",
    "Hooks",
    "Lowered",
    "RouteCompiler",
    "Surroundings",
    "check_global_slots",
    "check_route",
    "compile_route",
    "composed_path",
    "composed_routes",
    "configured_words",
    "convert_service",
    "derive_routes",
    "global_slots",
    "incoming_validators",
    "service_path",
    "snapshot_settings",
    "unjudged",
    "used_plugins",
]
