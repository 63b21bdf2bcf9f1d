"""Sign the requests to the backend with a shared secret.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.HMACCaller``.
"""

import base64
import hmac
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderName, Phase, Plugin, Response, Step, steps
from oto_trio.plugin_api.fields import writable_name

__all__ = ["HMACCaller", "HMACCallerConfig"]

ALGORITHMS = {f"hmac-sha{size}": f"sha{size}" for size in (1, 256, 384, 512)}

REFUSED = Response(400, [("Content-Type", "application/json")], b'{"error":"Bad parameters"}')


class HMACCallerConfig(Config, frozen=True, rename="camel"):
    """The secret, and how to sign with it."""

    secret: Annotated[str | None, Meta(description="What gateway and backend share.")] = None
    algo: Annotated[
        str, Meta(description="HMAC-SHA1, HMAC-SHA256, HMAC-SHA384 or HMAC-SHA512.")
    ] = "HMAC-SHA512"
    authorization_header: Annotated[
        HeaderName | None,
        Meta(description="The header to write; without one Authorization is."),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what could not be signed or written when the config is read."""
        if self.algo.lower() not in ALGORITHMS:
            raise ValueError(f"algo: {self.algo!r} is none of {', '.join(ALGORITHMS).upper()}")
        writable_name("authorizationHeader", self.authorization_header or "")


class HMACCaller(Plugin[HMACCallerConfig]):
    """Sets ``Date`` to the milliseconds since 1970 and signs it, as ``HMACValidator`` reads it.

    Without a secret the exchange is answered with 400.
    """

    id = "cp:otoroshi.next.plugins.HMACCaller"
    name = "HMAC caller plugin"
    description = "Signs backend requests with HMAC."
    categories = ("Authentication",)

    @override
    def transform_request(self, exchange: Exchange) -> Response | None:
        if not self.config.secret:
            return REFUSED
        date = str(int(exchange.unix_time * 1000))
        algorithm = self.config.algo.lower()
        digest = hmac.digest(self.config.secret.encode(), date.encode(), ALGORITHMS[algorithm])
        signature = base64.b64encode(digest).decode()
        headers = exchange.request.headers
        headers.set("Date", date)
        headers.set(
            self.config.authorization_header or "Authorization",
            f'hmac algorithm="{algorithm}", headers="Date", signature="{signature}"',
        )
        return None

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("hmac_caller", Phase.TRANSFORM_REQUEST, self.config),)
