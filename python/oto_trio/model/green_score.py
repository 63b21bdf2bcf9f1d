"""The green score: how frugal routes are, by rules that people judge and by what is measured."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = [
    "GREEN_RULES",
    "GREEN_SCORES",
    "DataThreshold",
    "Efficiency",
    "GreenScore",
    "HeadersThreshold",
    "Judgement",
    "RatedRoute",
    "RuleState",
    "RulesConfig",
    "Threshold",
    "Thresholds",
    "green_score_template",
]

GREEN_SCORES: Final = "green-scores"
"""Kind under which the store keeps them."""

GREEN_RULES: Final = (
    *(f"AR{number:02}" for number in range(1, 5)),
    *(f"DE{number:02}" for number in range(1, 12)),
    *(f"US{number:02}" for number in range(1, 8)),
    "LO01",
)
"""Ids of the rules: architecture, design, usage and logs. Source: the API Green Score."""


class RuleState(Document, frozen=True, kw_only=True):
    """Whether a route keeps one rule."""

    id: Annotated[str, Meta(description="id of the rule, such as AR01")]
    enabled: Annotated[bool, Meta(description="whether the route keeps it")]


class Judgement(Document, frozen=True, kw_only=True):
    """Which rules a route keeps since a day."""

    date: Annotated[int, Meta(description="since when, ms since 1970")]
    states: Annotated[tuple[RuleState, ...], Meta(description="the rules")] = ()


class RulesConfig(Document, frozen=True, kw_only=True):
    """How the rules were judged, day after day."""

    states: Annotated[tuple[Judgement, ...], Meta(description="the days")] = ()


class RatedRoute(Document, frozen=True, kw_only=True):
    """One route of a score."""

    route_id: Annotated[str, Meta(description="id of the route")] = msgspec.field(name="routeId")
    rules_config: Annotated[RulesConfig, Meta(description="how the rules were judged")] = (
        msgspec.field(default=RulesConfig(), name="rulesConfig")
    )


class Threshold(Document, frozen=True, kw_only=True):
    """Up to where a measure is excellent, sufficient, poor. Its default is that of durations."""

    excellent: Annotated[Whole, Meta(description="up to here it is excellent")] = 5
    sufficient: Annotated[Whole, Meta(description="up to here it is sufficient")] = 10
    poor: Annotated[Whole, Meta(description="up to here it is poor")] = 15


_DATA: Final = (100, 500, 1000)
_HEADERS: Final = (10, 30, 50)


class DataThreshold(Threshold, frozen=True, kw_only=True):
    """Up to where an amount of data is excellent, sufficient, poor."""

    excellent: Annotated[Whole, Meta(description="up to here it is excellent")] = _DATA[0]
    sufficient: Annotated[Whole, Meta(description="up to here it is sufficient")] = _DATA[1]
    poor: Annotated[Whole, Meta(description="up to here it is poor")] = _DATA[2]


class HeadersThreshold(Threshold, frozen=True, kw_only=True):
    """Up to where the size of headers is excellent, sufficient, poor."""

    excellent: Annotated[Whole, Meta(description="up to here it is excellent")] = _HEADERS[0]
    sufficient: Annotated[Whole, Meta(description="up to here it is sufficient")] = _HEADERS[1]
    poor: Annotated[Whole, Meta(description="up to here it is poor")] = _HEADERS[2]


class Thresholds(Document, frozen=True, kw_only=True, rename="camel"):
    """What is measured, and how it is judged."""

    overhead: Annotated[Threshold, Meta(description="time of the gateway")] = Threshold()
    duration: Annotated[Threshold, Meta(description="time of the whole exchange")] = Threshold()
    backend_duration: Annotated[Threshold, Meta(description="time of the backend")] = Threshold()
    calls: Annotated[Threshold, Meta(description="number of calls")] = Threshold()
    data_in: Annotated[DataThreshold, Meta(description="bytes of requests")] = DataThreshold()
    data_out: Annotated[DataThreshold, Meta(description="bytes of responses")] = DataThreshold()
    headers_out: Annotated[HeadersThreshold, Meta(description="headers of responses")] = (
        HeadersThreshold()
    )
    headers_in: Annotated[HeadersThreshold, Meta(description="headers of requests")] = (
        HeadersThreshold()
    )


class Efficiency(Document, frozen=True, kw_only=True):
    """What counts for the efficiency."""

    paths: Annotated[tuple[str, ...], Meta(description="paths that count")] = ()


class GreenScore(Document, frozen=True, kw_only=True):
    """A green score (``green-score.extensions.otoroshi.io/GreenScore``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the score")]
    name: Annotated[str, Meta(description="name of the score")] = ""
    description: Annotated[str, Meta(description="what it is for")] = ""
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    routes: Annotated[tuple[RatedRoute, ...], Meta(description="the routes that are rated")] = ()
    thresholds: Annotated[Thresholds, Meta(description="how measures are judged")] = Thresholds()
    efficiency: Annotated[Efficiency, Meta(description="what counts for it")] = Efficiency()


def green_score_template(*, env: str = "prod") -> GreenScore:
    """Make the score that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return GreenScore(
        id=named_id("green-score", env=env),
        name="green score group",
        description="screen score for the routes of this group",
    )
