"""Let through, refuse or hide methods and paths.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.RoutingRestrictions``.
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Answer,
    Config,
    Exchange,
    Phase,
    Plugin,
    Refusal,
    Response,
    Step,
    steps,
)
from oto_trio.plugin_api.patterns import Pattern, pattern_fault

__all__ = ["Restriction", "RoutingRestrictions", "RoutingRestrictionsConfig"]


class Restriction(msgspec.Struct, frozen=True):
    """A method and a path."""

    method: Annotated[str, Meta(description="A method in any case; * is every one.")] = "*"
    path: Annotated[
        str,
        Meta(
            description="A regular expression for the whole path, or for domain and path when it does "
            "not start with /."
        ),
    ] = "/.*"


Restrictions = tuple[Restriction, ...]


class RoutingRestrictionsConfig(Config, frozen=True):
    """Which methods and paths."""

    allow_last: Annotated[
        bool,
        Meta(description="Let through what no list has; then allowed is not looked at."),
    ] = True
    allowed: Annotated[
        Restrictions, Meta(description="Let through, when allow_last is off: {method, path}.")
    ] = ()
    forbidden: Annotated[Restrictions, Meta(description="Refused with 403: {method, path}.")] = ()
    not_found: Annotated[Restrictions, Meta(description="Hidden with 404: {method, path}.")] = ()

    def __post_init__(self) -> None:
        """Refuse a pattern that is none when the config is read, not when a request comes."""
        for name in ("allowed", "forbidden", "not_found"):
            restrictions: Restrictions = getattr(self, name)
            for place, restriction in enumerate(restrictions):
                fault = pattern_fault(restriction.path)
                if fault is not None:
                    raise ValueError(f"{name}[{place}].path: {fault}")


class RoutingRestrictions(Plugin[RoutingRestrictionsConfig]):
    """Refuses with 403, or hides with 404, what the lists say; browsers get a page without a body.

    Each request is judged anew: Otoroshi keeps its decisions, which a changed config outlives.
    """

    id = "cp:otoroshi.next.plugins.RoutingRestrictions"
    name = "Routing Restrictions"
    description = "Lets through, refuses or hides combinations of methods and paths."
    categories = ("AccessControl", "Classic")

    @override
    def access(self, exchange: Exchange) -> Answer:
        config = self.config
        if not config.allow_last and _has(config.allowed, exchange):
            return None
        if _has(config.not_found, exchange):
            return _refused(exchange, Refusal(404, "Not Found", "errors.not.found"))
        if _has(config.forbidden, exchange):
            return _refused(exchange, Refusal(403, "Forbidden", "errors.forbidden"))
        if config.allow_last:
            return None
        return _refused(exchange, Refusal(404, "Not Found", "errors.not.found"))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("routing_restrictions", Phase.ACCESS, self.config),)


def _has(restrictions: Restrictions, exchange: Exchange) -> bool:
    """Tell whether a list has this request."""
    request = exchange.request
    for restriction in restrictions:
        whole = request.path if restriction.path.startswith("/") else request.domain + request.path
        is_method = restriction.method == "*" or (
            restriction.method.upper() == request.method.upper()
        )
        if is_method and Pattern(restriction.path).matches(whole):
            return True
    return False


def _refused(exchange: Exchange, refusal: Refusal) -> Answer:
    """Return the refusal; for browsers, its head with an empty body."""
    accept = exchange.request.headers.get("Accept")
    if accept is not None and "text/html" not in accept.split(","):
        return refusal
    state = exchange.request.headers.get("Otoroshi-State")
    return Response(
        refusal.status,
        (
            ("Otoroshi-Error", "true"),
            ("Otoroshi-Error-Msg", refusal.message),
            ("Otoroshi-State-Resp", "--" if state is None else state),
            ("Content-Type", "text/html; charset=utf-8"),
        ),
    )
