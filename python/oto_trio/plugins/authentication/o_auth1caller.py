"""Sign the requests to the backend with OAuth 1.0.

Phases: transform_request.
Otoroshi: ``cp:otoroshi.next.plugins.OAuth1Caller``.
"""

import secrets
from typing import Annotated, Final
from urllib.parse import parse_qsl

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import BodyTooLarge, Config, Exchange, Plugin, Refusal, Response
from oto_trio.plugin_api.oauth1 import METHODS, authorization, base_string, signature
from oto_trio.plugin_api.templates import compiled_template

__all__ = ["OAuth1Caller", "OAuth1CallerConfig"]

MAX_FORM_BYTES: Final = 1 << 20
"""Longest form that is read to be signed."""

REFUSED: Final = Response(
    400, [("Content-Type", "application/json")], b'{"error":"Bad parameters"}'
)


class OAuth1CallerConfig(Config, frozen=True, rename="camel"):
    """Who signs; the texts may hold expressions."""

    consumer_key: Annotated[str | None, Meta(description="The gateway's consumer key.")] = None
    consumer_secret: Annotated[str | None, Meta(description="Its secret.")] = None
    token: Annotated[str | None, Meta(description="The access token.")] = None
    token_secret: Annotated[str | None, Meta(description="The token's secret.")] = None
    algo: Annotated[
        str | None,
        Meta(
            description="HMAC-SHA1, HMAC-SHA256, HMAC-SHA384, HMAC-SHA512 or TEXTPLAIN; without one HMAC-SHA512."
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what could not be signed with when the config is read."""
        if self.algo is not None and _method(self.algo) not in METHODS:
            known = ", ".join(name for name in METHODS if name != "PLAINTEXT")
            raise ValueError(f"algo: {self.algo!r} is none of {known}, TEXTPLAIN")


class OAuth1Caller(Plugin[OAuth1CallerConfig]):
    """Signs method, URL, query and form of the backend's request (RFC 5849) in ``Authorization``.

    What the caller's API key has in its metadata (``oauth_consumer_key``, ``oauth_consumer_secret``,
    ``oauth_token``, ``oauth_token_secret``) comes before the config. When one of the four is missing the
    exchange is answered with 400. The URL is the one that the backend gets, as it stands when this plugin
    runs: put plugins that change host or query before it. A form is read to be signed, up to 1 MiB; a
    longer one is refused with 413.

    Unlike Otoroshi, HMAC-SHA512 is used when no ``algo`` is set, where Otoroshi fails, and ``TEXTPLAIN``
    is sent under its name of the standard, ``PLAINTEXT``.
    """

    id = "cp:otoroshi.next.plugins.OAuth1Caller"
    name = "OAuth1 caller"
    description = "Signs backend requests with OAuth1."
    categories = ("Authentication",)

    def __init__(self, config: OAuth1CallerConfig) -> None:
        super().__init__(config)
        self._method = _method(config.algo or "HMAC-SHA512")
        texts = {
            "oauth_consumer_key": ("consumerKey", config.consumer_key),
            "oauth_consumer_secret": ("consumerSecret", config.consumer_secret),
            "oauth_token": ("token", config.token),
            "oauth_token_secret": ("tokenSecret", config.token_secret),
        }
        self._templates = {
            name: None if text is None else compiled_template(f"$.{field}", text)
            for name, (field, text) in texts.items()
        }

    @override
    async def transform_request(self, exchange: Exchange) -> Response | Refusal | None:
        metadata = exchange.apikey.metadata if exchange.apikey is not None else {}
        known: dict[str, str] = {}
        for name, template in self._templates.items():
            value = metadata.get(name)
            if value is None and template is not None:
                value = template.render(exchange.native())
            if not value:
                return REFUSED
            known[name] = value
        if exchange.upstream_url is None:
            return REFUSED
        try:
            form = await _form(exchange)
        except BodyTooLarge:
            return Refusal(413, "the form is too long to be signed")
        parameters = [
            ("oauth_consumer_key", known["oauth_consumer_key"]),
            ("oauth_token", known["oauth_token"]),
            ("oauth_signature_method", self._method),
            ("oauth_timestamp", str(int(exchange.unix_time))),
            ("oauth_nonce", secrets.token_hex(16)),
        ]
        text = base_string(exchange.request.method, exchange.upstream_url, [*form, *parameters])
        signed = signature(
            self._method, text, known["oauth_consumer_secret"], known["oauth_token_secret"]
        )
        value = authorization([*parameters, ("oauth_signature", signed)])
        exchange.request.headers.set("Authorization", value)
        return None


def _method(algo: str) -> str:
    """Return the signature method that an Otoroshi algorithm stands for."""
    name = algo.upper()
    return "PLAINTEXT" if name == "TEXTPLAIN" else name


async def _form(exchange: Exchange) -> list[tuple[str, str]]:
    """Return the fields of a form in the body (RFC 5849 §3.4.1.3.1).

    Raises:
        BodyTooLarge: It is longer than `MAX_FORM_BYTES`.
    """
    request = exchange.request
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if not request.has_body or kind != "application/x-www-form-urlencoded":
        return []
    body = await request.read(MAX_FORM_BYTES)
    return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
