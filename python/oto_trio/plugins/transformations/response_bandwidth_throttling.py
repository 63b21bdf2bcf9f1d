"""Limit how fast response bodies pass.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.ResponseBandwidthThrottling``.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, compiled_template, steps

__all__ = ["ResponseBandwidthThrottling", "ResponseBandwidthThrottlingConfig"]


class ResponseBandwidthThrottlingConfig(Config, frozen=True):
    """How fast, and what then."""

    window_millis: Annotated[str, Meta(description="The window, in ms; ${…} is evaluated.")] = (
        "60000"
    )
    throttling_quota: Annotated[
        str, Meta(description="Bytes in a window, and at once; ${…} is evaluated.")
    ] = "10485760"
    group_expr: Annotated[
        str, Meta(description="What shares a bound, unless it is per_request; ${…} is evaluated.")
    ] = "${route.id}"
    fail: Annotated[
        bool, Meta(description="Break a faster body off; otherwise it is slowed down.")
    ] = True
    kind: Annotated[
        Literal["per_request", "per_node", "per_cluster"],
        Meta(description="per_request: each body by itself; else the group shares the bound."),
    ] = "per_request"

    @classmethod
    @override
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Take numbers for the texts they would be."""
        for name in ("window_millis", "throttling_quota"):
            if isinstance(raw.get(name), int) and not isinstance(raw[name], bool):
                raw[name] = str(raw[name])
        return raw

    def __post_init__(self) -> None:
        """Refuse what is no number when the config is read."""
        for name in ("window_millis", "throttling_quota"):
            text: str = getattr(self, name)
            if "${" not in text and not (text.isascii() and text.isdigit() and int(text)):
                raise ValueError(f"{name}: {text!r} is no whole number above 0")


class ResponseBandwidthThrottling(Plugin[ResponseBandwidthThrottlingConfig]):
    """Slows a response body down to so many bytes in a window, or breaks it off.

    A body may use up a whole window's bytes at once. An expression that gives no number counts as the
    default. With ``per_node`` the bodies of a group share the bytes of a window, among all workers of the machine:
    what goes beyond is broken off, whatever ``fail`` says, and a body that comes when they are used up is answered
    with 413 "Bandwidth limit exceeded". Such a bound counts to 4 GiB. ``per_cluster`` counts on this machine only.
    The engine keeps the bound while bytes pass: there is no hook in Python that could.
    """

    id = "cp:otoroshi.next.plugins.ResponseBandwidthThrottling"
    name = "Response bandwidth throttling"
    description = "Limits how fast response bodies pass."
    categories = ("Transformations",)

    def __init__(self, config: ResponseBandwidthThrottlingConfig) -> None:
        super().__init__(config)
        compiled_template("$.window_millis", config.window_millis)
        compiled_template("$.throttling_quota", config.throttling_quota)
        compiled_template("$.group_expr", config.group_expr)

    @override
    def transform_response(self, exchange: Exchange) -> None:
        """Do nothing: the native step sets the bound."""

    @override
    def lower(self) -> tuple[Step, ...]:
        config = self.config
        settings = steps.BodyBandwidth(
            config.window_millis,
            config.throttling_quota,
            config.fail,
            config.group_expr,
            config.kind != "per_request",
        )
        return (steps.Native("body_bandwidth", Phase.TRANSFORM_RESPONSE, settings),)
