"""A plugin of your own: refuse writes at night, and say so in every answer.

Phases: access, transform_response, done.

Put this file in the gateway's plugin folder, and use it in a route:

    {"plugin": "cp:example.QuietHours", "config": {"from_hour": 22, "to_hour": 6}}

Save it again after a change and the gateway takes the new code; requests in flight finish on the old.
`tests/unit/examples/test_quiet_hours.py` shows how to test a plugin without a gateway.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Plugin, Refusal

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class QuietHoursConfig(Config, frozen=True):
    """When it is night. The fields become the JSON schema, the form of the console and the docs."""

    from_hour: Annotated[int, Meta(description="Hour in which the night begins.", ge=0, le=23)] = 22
    to_hour: Annotated[int, Meta(description="Hour in which it ends.", ge=0, le=23)] = 6


def local_hour() -> int:
    """Return the hour on the clock of this machine."""
    return datetime.now().astimezone().hour


class QuietHours(Plugin[QuietHoursConfig]):
    """Refuses every method but GET, HEAD and OPTIONS between two hours of the local time."""

    id = "cp:example.QuietHours"
    name = "Quiet hours"
    description = "Refuses writes at night."
    categories = ("AccessControl",)

    def __init__(self, config: QuietHoursConfig, hour: Callable[[], int] = local_hour) -> None:
        super().__init__(config)
        self._hour = hour
        self.seen: Counter[str] = Counter()

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        # `def` runs inline: it may look and decide, but not wait. Write `async def` to wait.
        if exchange.request.method in READING or not self._is_night():
            return None
        return Refusal(503, "No writes at night", "errors.quiet.hours")

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        exchange.response.headers.set("X-Quiet", "yes" if self._is_night() else "no")

    @override
    def done(self, exchange: Exchange) -> None:
        # One instance serves one slot of one route, so this counts the calls of that route.
        self.seen[exchange.request.method] += 1

    def _is_night(self) -> bool:
        begins, ends, now = self.config.from_hour, self.config.to_hour, self._hour()
        if begins <= ends:
            return begins <= now < ends
        return now >= begins or now < ends
