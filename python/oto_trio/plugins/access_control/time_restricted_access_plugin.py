"""Open a route at certain times only.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.TimeRestrictedAccessPlugin``.
"""

import re
from datetime import datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Response, Step, steps

__all__ = ["TimeRestrictedAccessConfig", "TimeRestrictedAccessPlugin", "TimeRule"]

_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{3})?)?")


class TimeRule(msgspec.Struct, frozen=True):
    """A time of day on some days; a time over midnight is two rules."""

    time_start: Annotated[str, Meta(description="From, not included.")] = "08:00:00.000"
    time_end: Annotated[str, Meta(description="Until, not included.")] = "20:00:00.000"
    day_start: Annotated[int, Meta(description="From this day on; 1 is Monday.", ge=1, le=7)] = 1
    day_end: Annotated[int, Meta(description="Up to this day.", ge=1, le=7)] = 5


class TimeRestrictedAccessConfig(Config, frozen=True):
    """When the route is open."""

    rules: Annotated[
        tuple[TimeRule, ...],
        Meta(description="When it is open: one rule is enough; without rules it never is."),
    ] = ()
    timezone: Annotated[
        str | None,
        Meta(description="The time zone, such as Europe/Paris; the machine's when left out."),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what is no time or no zone when the config is read."""
        for place, rule in enumerate(self.rules):
            for name in ("time_start", "time_end"):
                text: str = getattr(rule, name)
                if _read(text) is None:
                    raise ValueError(
                        f"rules[{place}].{name}: {text!r} is no time; write one such as 08:00:00.000"
                    )
        if self.timezone:
            try:
                ZoneInfo(self.timezone)
            except (ValueError, OSError, KeyError) as error:
                raise ValueError(
                    f"timezone: there is no zone {self.timezone!r}; write one such as Europe/Paris"
                ) from error


class TimeRestrictedAccessPlugin(Plugin[TimeRestrictedAccessConfig]):
    """Refuses with 403 outside the times of every rule."""

    id = "cp:otoroshi.next.plugins.TimeRestrictedAccessPlugin"
    name = "Time Restriction"
    description = "Lets requests through at certain times of certain days only."
    categories = ("AccessControl", "Classic")

    @override
    def access(self, exchange: Exchange) -> Response | None:
        zone = ZoneInfo(self.config.timezone) if self.config.timezone else None
        now = datetime.fromtimestamp(exchange.unix_time, zone)
        # The engine's rules count milliseconds.
        now_time = now.time().replace(microsecond=now.microsecond // 1000 * 1000)
        for rule in self.config.rules:
            start, end = _read(rule.time_start), _read(rule.time_end)
            if start is None or end is None:
                continue
            if rule.day_start <= now.isoweekday() <= rule.day_end and start < now_time < end:
                return None
        body = {
            "error": "forbidden",
            "error_description": "You cannot access this resource right now",
        }
        return Response(403, (("Content-Type", "application/json"),), msgspec.json.encode(body))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("time_restriction", Phase.ACCESS, self.config),)


def _read(text: str) -> time | None:
    """Read a time of day."""
    try:
        return time.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None
