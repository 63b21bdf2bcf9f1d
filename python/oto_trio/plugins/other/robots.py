"""Tell crawlers what they may read.

Phases: transform_request, transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.Robots``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderValue, Phase, Plugin, Response, Step, steps

__all__ = ["Robots", "RobotsConfig"]


class RobotsConfig(Config, frozen=True):
    """What crawlers are told, and where."""

    robot_txt_enabled: Annotated[bool, Meta(description="Answer /robots.txt.")] = True
    robot_txt_content: Annotated[str, Meta(description="The text of /robots.txt.")] = (
        "User-agent: *\nDisallow: /\n"
    )
    meta_enabled: Annotated[
        bool,
        Meta(description="Kept, but pages are not changed: bodies stream past; use the header."),
    ] = True
    meta_content: Annotated[str, Meta(description="Kept, see meta_enabled.")] = (
        "noindex,nofollow,noarchive"
    )
    header_enabled: Annotated[bool, Meta(description="Send X-Robots-Tag.")] = True
    header_content: Annotated[HeaderValue, Meta(description="The value of X-Robots-Tag.")] = (
        "noindex, nofollow, noarchive"
    )


class Robots(Plugin[RobotsConfig]):
    """Answers ``/robots.txt``, and marks every response with ``X-Robots-Tag``.

    Otoroshi also writes a ``meta`` tag into pages; the header says the same to the same crawlers.
    """

    id = "cp:otoroshi.next.plugins.Robots"
    name = "Robots"
    description = "Answers /robots.txt and sends X-Robots-Tag."
    categories = ("Other",)

    @override
    def transform_request(self, exchange: Exchange) -> Response | None:
        if not self.config.robot_txt_enabled or exchange.request.path != "/robots.txt":
            return None
        body = self.config.robot_txt_content.encode()
        return Response(200, (("Content-Type", "text/plain"),), body)

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        if self.config.header_enabled:
            exchange.response.headers.set("X-Robots-Tag", self.config.header_content)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (
            steps.Native("robots", Phase.TRANSFORM_REQUEST, self.config),
            steps.Native("robots", Phase.TRANSFORM_RESPONSE, self.config),
        )
