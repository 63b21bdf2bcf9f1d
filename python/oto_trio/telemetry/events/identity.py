"""What every event has: its id, its time, and where this gateway stands."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ENRICHMENT_KEYS", "Event", "Instance", "Snowflakes", "enriched"]

Event: TypeAlias = dict[str, Any]
"""An event in Otoroshi's JSON."""

_EPOCH_MS: Final = 1_288_834_974_657
"""Where Otoroshi's ids begin, in milliseconds of Unix time."""

ENRICHMENT_KEYS: Final = (
    *("user-agent-details", "origin-details", "instance-number", "instance-name"),
    *("instance-zone", "instance-region", "instance-dc", "instance-provider", "instance-rack"),
    *("cluster-mode", "cluster-name"),
)
"""What is added to each event before it is exported."""


class Instance(msgspec.Struct, frozen=True):
    """Where this gateway stands.

    Attributes:
        number: Tells its ids from those of other instances.
        name: Its name.
        env: The environment, such as `prod`.
        cluster_mode: `Off`, `Leader` or `Worker`.
    """

    number: int = 0
    name: str = "otoroshi"
    zone: str = "local"
    region: str = "local"
    dc: str = "local"
    provider: str = "local"
    rack: str = "local"
    env: str = "prod"
    cluster_mode: str = "Off"
    cluster_name: str = "none"


class Snowflakes:
    """Makes ids in Otoroshi's form: milliseconds, instance, counter.

    Args:
        instance: 0 to 1023. Ids of requests are the workers'; these are the control plane's, and have 1023.
        unix_ms: Tells Unix time in milliseconds.
    """

    def __init__(self, unix_ms: Callable[[], int], instance: int = 1023) -> None:
        self._instance = instance & 0x3FF
        self._unix_ms = unix_ms
        self._counter = count()

    def next(self) -> str:
        """Return a new id, as a decimal number in text."""
        milliseconds = max(self._unix_ms() - _EPOCH_MS, 0)
        return str((milliseconds << 22) | (self._instance << 12) | (next(self._counter) & 0xFFF))


def enriched(event: Event, instance: Instance) -> Event:
    """Add what each exported event tells of the gateway; the event is changed.

    Details of the user agent and of the origin are null until there is something that finds them.
    """
    event.setdefault("user-agent-details", None)
    event.setdefault("origin-details", None)
    event["instance-number"] = instance.number
    event["instance-name"] = instance.name
    event["instance-zone"] = instance.zone
    event["instance-region"] = instance.region
    event["instance-dc"] = instance.dc
    event["instance-provider"] = instance.provider
    event["instance-rack"] = instance.rack
    event["cluster-mode"] = instance.cluster_mode
    event["cluster-name"] = instance.cluster_name
    return event
