"""When a job runs and on which nodes: what workflows and remote catalogs have in common."""

from typing import Annotated, Literal

from msgspec import Meta

from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document

__all__ = ["JobSettings"]


class JobSettings(Document, frozen=True, kw_only=True):
    """When a job runs. Otoroshi writes absent times as null."""

    enabled: Annotated[bool, Meta(description="run at all")] = False
    kind: Annotated[
        Literal["ScheduledOnce", "ScheduledEvery", "Cron", "Autonomous"],
        Meta(description="once, every so often, by a cron expression, or by itself"),
    ] = "ScheduledEvery"
    instantiation: Annotated[
        Literal[
            "OneInstancePerOtoroshiInstance",
            "OneInstancePerOtoroshiWorkerInstance",
            "OneInstancePerOtoroshiLeaderInstance",
            "OneInstancePerOtoroshiCluster",
        ],
        Meta(description="on which nodes it runs"),
    ] = "OneInstancePerOtoroshiInstance"
    initial_delay: Annotated[Whole | None, Meta(description="wait before the first run, ms")] = None
    interval: Annotated[Whole | None, Meta(description="time between runs, ms")] = None
    cron_expression: Annotated[str | None, Meta(description="when it runs, for kind Cron")] = None
