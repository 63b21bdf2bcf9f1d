"""Limit calls by a token bucket.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.LocalTokenBucket``.
"""

from typing import Annotated, Literal

from msgspec import Meta, structs
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, Template, steps
from oto_trio.plugin_api.strategy import Quota, judge_by_strategy

__all__ = ["LocalTokenBucket", "LocalTokenBucketConfig"]


class LocalTokenBucketConfig(Config, frozen=True, rename="camel"):
    """The bucket, and the calls of a day and a month."""

    id: Annotated[
        Literal["LocalTokensBucketStrategyConfig"], Meta(description="The strategy's name.")
    ] = "LocalTokensBucketStrategyConfig"
    bucket_key: Annotated[
        str | None,
        Meta(
            description="What shares a bucket, an expression; without one each route has its own."
        ),
    ] = None
    capacity: Annotated[
        int, Meta(ge=1, le=4294967295, description="Calls at once: what the bucket holds.")
    ] = 300
    refill_request_interval_ms: Annotated[
        int, Meta(ge=1, le=4294967295, description="Milliseconds between two refills.")
    ] = 50
    refill_requested_tokens: Annotated[
        int, Meta(ge=1, le=4294967295, description="Calls that a refill brings.")
    ] = 50
    quota: Annotated[
        Quota, Meta(description="Calls of a day and a month; the window is not used.")
    ] = Quota()


class LocalTokenBucket(Plugin[LocalTokenBucketConfig]):
    """Refuses with 429 what finds the bucket empty. It begins full; every interval brings tokens.

    The bucket is shared by all workers of the machine. Day and month count the calls it refuses too.
    Quirk not taken over: Otoroshi gives a slot without a key a new bucket every few seconds, which
    limits nothing; here such a slot has one bucket for its route.
    """

    id = "cp:otoroshi.next.plugins.LocalTokenBucket"
    name = "Local Token Bucket"
    description = "Limits calls by a token bucket."
    categories = ("AccessControl",)

    def __init__(self, config: LocalTokenBucketConfig) -> None:
        super().__init__(config)
        self._keyed = structs.replace(config, bucket_key=config.bucket_key or "${route.id}")
        self._key = Template(self._keyed.bucket_key or "")

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        return judge_by_strategy(exchange, self._key.render_counted(exchange), self.config)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("rate_limit", Phase.ACCESS, self._keyed),)
