"""The life of an exchange as a plugin sees it: the phases, their order, their names.

One table ties four vocabularies together: our phase name (which is also the hook's method name and
the word in a lowered step), Otoroshi's step name (``plugin_steps`` of the admin API) and the key that
orders a plugin slot in that phase (``plugin_index``). Everything else looks it up here.
"""

from enum import StrEnum

__all__ = ["INDEX_KEYS", "OTOROSHI_STEPS", "PHASE_ORDER", "TRANSFORM_PHASES", "Phase"]


class Phase(StrEnum):
    """A point in an exchange's life where a plugin may act. The value is the hook's method name."""

    SINK = "sink"
    """No route takes the request; asked of global slots only."""
    MATCH_ROUTE = "match_route"
    """While the router chooses: may this route take this request?"""
    PRE_ROUTE = "pre_route"
    """The route is known, nothing was checked yet: redirects, maintenance pages."""
    ACCESS = "access"
    """May this caller go on?"""
    TRANSFORM_REQUEST = "transform_request"
    """The request as the upstream will get it; a target is known."""
    CALL_BACKEND = "call_backend"
    """Answer in the backend's place, or let the call go to the target."""
    TRANSFORM_RESPONSE = "transform_response"
    """The response head as the downstream will get it."""
    DONE = "done"
    """The exchange is over, however it ended."""


PHASE_ORDER: tuple[Phase, ...] = tuple(Phase)
"""Every phase, first to last. Source: Otoroshi's engine, as listed in its lifecycle."""

TRANSFORM_PHASES = (Phase.TRANSFORM_REQUEST, Phase.TRANSFORM_RESPONSE)
"""The two phases that share one order of slots (see ``gateway.compile.chain``)."""

OTOROSHI_STEPS: dict[Phase, str] = {
    Phase.SINK: "Sink",
    Phase.MATCH_ROUTE: "MatchRoute",
    Phase.PRE_ROUTE: "PreRoute",
    Phase.ACCESS: "ValidateAccess",
    Phase.TRANSFORM_REQUEST: "TransformRequest",
    Phase.CALL_BACKEND: "CallBackend",
    Phase.TRANSFORM_RESPONSE: "TransformResponse",
}
"""Otoroshi's name of each phase. ``done`` is ours alone: Otoroshi has no step for it."""

INDEX_KEYS: dict[Phase, str] = {
    Phase.SINK: "sink",
    Phase.MATCH_ROUTE: "match_route",
    Phase.PRE_ROUTE: "pre_route",
    Phase.ACCESS: "validate_access",
    Phase.TRANSFORM_REQUEST: "transform_request",
    Phase.CALL_BACKEND: "call_backend",
    Phase.TRANSFORM_RESPONSE: "transform_response",
}
"""The key of a slot's ``plugin_index`` that orders it in each phase."""
