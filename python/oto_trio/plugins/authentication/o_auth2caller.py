"""Send the backend an access token that the gateway gets for itself.

Phases: transform_request, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.OAuth2Caller``.
"""

import base64
import logging
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec
import trio
from msgspec import UNSET, Meta, UnsetType
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderName, HeaderValue, Plugin, Response
from oto_trio.plugin_api.calls import CallError, fetch
from oto_trio.plugin_api.fields import writable_name

__all__ = ["OAuth2Caller", "OAuth2CallerConfig"]

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 30.0
"""Longest call for a token."""

MAX_BODY_BYTES: Final = 64 * 1024
"""Longest answer with a token."""

MAX_LIFETIME_S: Final = 3600.0
"""How long a token is used whose answer does not say when it ends."""

USED_PART: Final = 0.9
"""A token is used for this part of its life, so that none ends on its way to the backend."""

REST_S: Final = 1.0
"""After a failure the token endpoint is left alone for so long; its answer stands meanwhile."""


class OAuth2CallerConfig(Config, frozen=True, rename="camel"):
    """Where tokens come from, as whom, and where they go."""

    kind: Annotated[
        Literal["client_credentials", "password", "password_with_basic_auth"],
        Meta(description="How the token is asked for."),
    ] = "client_credentials"
    url: Annotated[str, Meta(description="The token endpoint.")] = (
        "https://127.0.0.1:8080/oauth/token"
    )
    method: Annotated[str, Meta(description="The method of the call.")] = "POST"
    header_name: Annotated[HeaderName, Meta(description="The header to write.")] = "Authorization"
    header_value_format: Annotated[
        HeaderValue, Meta(description="The header's value; %s stands for the token.")
    ] = "Bearer %s"
    json_payload: Annotated[bool, Meta(description="Ask in JSON instead of a form.")] = False
    client_id: Annotated[str, Meta(description="The gateway's client id.")] = "the client_id"
    client_secret: Annotated[str, Meta(description="The gateway's secret.")] = "the client_secret"  # noqa: S105 (Otoroshi's placeholder)
    scope: Annotated[str | None, Meta(description="The scopes to ask for.")] = None
    audience: Annotated[str | None, Meta(description="Whom the token is for.")] = None
    resource: Annotated[
        str | UnsetType | None, Meta(description="What the token is for (RFC 8707).")
    ] = UNSET
    user: Annotated[str | None, Meta(description="The user, for kind password.")] = None
    password: Annotated[str | None, Meta(description="The user's password.")] = None
    cache_token_seconds: Annotated[
        float,
        Meta(ge=0, description="How long a token is used at most; an hour if its end is unknown."),
    ] = 600_000
    tls_config: Annotated[
        dict[str, Any], Meta(description="loose or trustAll switch the certificate's check off.")
    ] = msgspec.field(
        default_factory=lambda: {
            "certs": list[str](),
            "trustedCerts": list[str](),
            "mtls": False,
            "loose": False,
            "trustAll": False,
        }
    )

    def __post_init__(self) -> None:
        """Refuse a header that a plugin cannot write, and an address that is none."""
        writable_name("headerName", self.header_name)
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError("url: give an address that begins with https:// or http://")


class TokenError(Exception):
    """The token endpoint gave no token.

    Args:
        status: Its status; 502 when it could not be asked.
        description: What it said.
    """

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.description = description


class OAuth2Caller(Plugin[OAuth2CallerConfig]):
    """Gets an access token, keeps it for its life, and sends it with each request.

    Exchanges that need a token at the same time share one call, and its failure for a second; when the
    client of the one that makes it leaves, the call is cancelled and the next one makes its own. A token is
    used for nine tenths of its life; one that the backend refuses with 401 is dropped. The request is then sent
    once more with a new one, if the backend's client settings allow another attempt (``retries`` of 2 and
    more) and the body was not streamed away. A new token is asked for with the refresh token of the last answer, when it had one, and
    anew when that is refused. Without a token the exchange is answered with 401.

    Unlike Otoroshi: tokens are kept by each worker, values are not evaluated as expressions, and kind
    ``auth_module`` is not offered.
    """

    id = "cp:otoroshi.next.plugins.OAuth2Caller"
    name = "OAuth2 caller"
    description = "Gets an OAuth2 token and sends it to the backend."
    categories = ("Authentication",)

    def __init__(self, config: OAuth2CallerConfig) -> None:
        super().__init__(config)
        self._lock = trio.Lock()
        self._token = ""
        self._refresh_token = ""
        self._used_until = -float("inf")
        self._failure: tuple[float, TokenError] | None = None

    @property
    def _key(self) -> str:
        """Where an exchange keeps which token it was sent with."""
        return f"{self.id}:{id(self)}"

    @override
    async def transform_request(self, exchange: Exchange) -> Response | None:
        try:
            token = await self._current()
        except TokenError as error:
            told = {
                "error": "unauthorized",
                "error_description": error.description,
                "error_status": error.status,
            }
            headers = [("Content-Type", "application/json")]
            return Response(401, headers, msgspec.json.encode(told))
        self._send(exchange, token)
        return None

    @override
    async def transform_response(self, exchange: Exchange) -> None:
        refused = exchange.attrs.get(self._key)
        if refused is None or exchange.response is None or exchange.response.status != 401:
            return
        # Somebody else's exchange may have brought another one by now.
        if refused == self._token:
            self._used_until = -float("inf")
        again = f"{self._key}:again"
        if again in exchange.attrs or not exchange.may_ask_again:
            return
        exchange.attrs[again] = True
        try:
            token = await self._current()
        except TokenError as error:
            logger.info("no other token was to be had: %d", error.status)
            return
        self._send(exchange, token)
        exchange.ask_again()

    def _send(self, exchange: Exchange, token: str) -> None:
        """Put a token into the request."""
        value = self.config.header_value_format.replace("%s", token, 1)
        # It may go into a header whose name does not say what it is.
        exchange.hide(token)
        exchange.request.headers.set(self.config.header_name or "Authorization", value)
        exchange.attrs[self._key] = token

    async def _current(self) -> str:
        """Return a token that is good now.

        Raises:
            TokenError: There is none to be had.
        """
        if trio.current_time() < self._used_until:
            return self._token
        async with self._lock:
            # Somebody may have brought one while this task waited.
            if trio.current_time() >= self._used_until:
                # Who waited for a call that failed does not make it again, one after the other.
                if self._failure is not None and trio.current_time() < self._failure[0]:
                    raise self._failure[1]
                try:
                    answer = await self._renewed()
                except TokenError as error:
                    self._failure = (trio.current_time() + REST_S, error)
                    raise
                self._failure = None
                self._token, self._refresh_token = answer.token, answer.refresh_token
                lasts_s = min(answer.lifetime_s, self.config.cache_token_seconds) * USED_PART
                self._used_until = trio.current_time() + lasts_s
            return self._token

    async def _renewed(self) -> "_Tokens":
        """Return new tokens, by the refresh token if there is one that still counts.

        Raises:
            TokenError: There is none to be had.
        """
        refresh_token, self._refresh_token = self._refresh_token, ""
        if refresh_token:
            try:
                answer = await self._fetch(refresh_token)
            except TokenError as error:
                logger.info("a refresh token was refused with %d; asking anew", error.status)
            else:
                # An answer without another one leaves the old one good (RFC 6749 §6).
                return answer if answer.refresh_token else answer.keeping(refresh_token)
        return await self._fetch("")

    async def _fetch(self, refresh_token: str) -> "_Tokens":
        """Ask for tokens, by a refresh token unless it is empty.

        Raises:
            TokenError: There is none to be had.
        """
        try:
            with trio.fail_after(TIMEOUT_S):
                status, body = await self._ask(refresh_token)
        except trio.TooSlowError:
            raise TokenError(502, "the token endpoint did not answer in time") from None
        except CallError as error:
            logger.warning("no token could be fetched: %s", error)
            raise TokenError(502, "the token endpoint could not be asked") from error
        if not 200 <= status < 300:
            raise TokenError(status, body.decode("utf-8", "replace")[:1024])
        return _tokens_of(body)

    async def _ask(self, refresh_token: str) -> tuple[int, bytes]:
        """Make the call; return status and body."""
        fields, headers = _question(self.config, refresh_token)
        tls = self.config.tls_config
        insecure = bool(tls.get("mtls")) and bool(tls.get("loose") or tls.get("trustAll"))
        if insecure:
            logger.warning("a token is fetched without a check of the server's certificate, as set")
        content: dict[str, Any] = {"json" if self.config.json_payload else "data": fields}
        return await fetch(
            self.config.method,
            self.config.url,
            headers=headers,
            most_bytes=MAX_BODY_BYTES,
            timeout_s=TIMEOUT_S,
            insecure=insecure,
            **content,
        )


def _question(
    config: OAuth2CallerConfig, refresh_token: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fields of the question and its headers."""
    headers = {"Accept": "application/json"}
    fields = {"grant_type": config.kind.removesuffix("_with_basic_auth")}
    if config.kind == "password_with_basic_auth":
        credentials = f"{config.client_id}:{config.client_secret}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
    else:
        fields |= {"client_id": config.client_id, "client_secret": config.client_secret}
    if refresh_token:
        fields |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return fields, headers
    more = {"scope": config.scope, "audience": config.audience}
    if config.resource is not UNSET:
        more["resource"] = config.resource
    if config.kind != "client_credentials":
        more |= {"username": config.user, "password": config.password}
    return fields | {name: text for name, text in more.items() if text}, headers


class _Answer(msgspec.Struct):
    """What a token endpoint says (RFC 6749 §5.1)."""

    access_token: str
    expires_in: float | None = None
    refresh_token: str | None = None


class _Tokens(msgspec.Struct, frozen=True):
    """What is used of an answer."""

    token: str
    lifetime_s: float
    refresh_token: str

    def keeping(self, refresh_token: str) -> "_Tokens":
        """Return the same with another refresh token."""
        return _Tokens(self.token, self.lifetime_s, refresh_token)


def _tokens_of(body: bytes) -> _Tokens:
    """Read an answer, JSON or a form.

    Raises:
        TokenError: It is neither, or has no token that a header can carry.
    """
    try:
        try:
            raw = msgspec.json.decode(body)
        except msgspec.DecodeError:
            raw = dict(parse_qsl(body.decode()))
        answer = msgspec.convert(raw, _Answer, strict=False)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise TokenError(502, "the token endpoint's answer has no access_token") from error
    if not (answer.access_token.isascii() and answer.access_token.isprintable()):
        raise TokenError(502, "the token endpoint's token is none that a header can carry")
    lifetime_s = MAX_LIFETIME_S if answer.expires_in is None else max(answer.expires_in, 0.0)
    return _Tokens(answer.access_token, lifetime_s, answer.refresh_token or "")
