"""Tell backends who calls: the info token of Otoroshi's exchange protocol.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.OtoroshiInfos``.
"""

import logging
import uuid
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    HeaderName,
    Phase,
    Plugin,
    Refusal,
    Step,
    compiled_template,
    steps,
)
from oto_trio.plugin_api.distinguished_names import certificate_chain
from oto_trio.plugin_api.fields import writable_name
from oto_trio.plugin_api.jq_filters import JqBoundError, JqBusyError, JqError, check, run
from oto_trio.plugin_api.projections import blueprint_faults, projected
from oto_trio.plugin_api.signatures import TokenKeys

__all__ = ["OtoroshiInfos", "OtoroshiInfosConfig"]

logger = logging.getLogger(__name__)

CANNOT_SIGN: Final = Refusal(
    500,
    "an error happened during request-transformation plugins phase",
    "internal_server_error",
)
BUSY: Final = Refusal(
    503, "too many filters run at this moment, please try again later", "service_unavailable"
)
TELL_AGAIN_S: Final = 60.0
"""That a filter fails is logged once in this time."""
VERSIONS: Final = {"latest": "Latest", "legacy": "Legacy"}


class OtoroshiInfosConfig(Config, frozen=True):
    """The shape of the claims, and how they are signed."""

    version: Annotated[
        Literal["Latest", "Legacy"],
        Meta(description="Latest has objects for user and API key, Legacy flat claims."),
    ] = "Latest"
    ttl: Annotated[int, Meta(ge=0, description="Seconds the token lasts.")] = 30
    header_name: Annotated[
        HeaderName | None, Meta(description="Header to the backend; Otoroshi-Claim by default.")
    ] = None
    add_fields: Annotated[
        dict[str, str] | None,
        Meta(description="More claims of version Latest; ${…} is evaluated."),
    ] = None
    projection: Annotated[
        dict[str, Any], Meta(description="What of the claims is sent, as a projection; empty: all.")
    ] = {}
    algo: Annotated[dict[str, Any], Meta(description="Algorithm settings that sign the token.")] = (
        msgspec.field(
            default_factory=lambda: cast(
                "dict[str, Any]",
                {"type": "HSAlgoSettings", "size": 512, "secret": "secret", "base64": False},
            )
        )
    )

    @override
    @classmethod
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        raw["version"] = VERSIONS.get(str(raw.get("version")).lower(), raw.get("version"))
        return raw

    def __post_init__(self) -> None:
        """Refuse a header, a projection or keys that cannot be used when the config is read."""
        writable_name("header_name", self.header_name or "")
        if self.algo.get("type") in {"JWKSAlgoSettings", "KidAlgoSettings"}:
            raise ValueError("algo: it cannot sign; give a secret, a private key or a certificate")
        try:
            TokenKeys(msgspec.json.encode(self.algo))
        except ValueError as error:
            raise ValueError(f"algo.{error}") from error
        for place, fault in blueprint_faults(self.projection, check, "projection"):
            raise ValueError(f"{place}: {fault}")


class OtoroshiInfos(Plugin[OtoroshiInfosConfig]):
    """Sends a signed JWT about the caller in ``Otoroshi-Claim``; a client's own is taken out.

    Latest: ``sub`` is the user's e-mail address, else the API key's name, else ``public``;
    ``access_type`` says which of them there are, ``user`` and ``apikey`` describe them. Legacy: the same
    as flat claims and as JSON text. Metadata that Legacy spreads over the claims never replaces another
    claim, which in Otoroshi it can. Of the user a backend learns name, e-mail address, profile, metadata
    and tags, nothing of the session. A request is refused with 500 when a jq filter of the projection fails,
    with 503 when too many filters run; the log says so once a minute.

    Otoroshi's version Url is not offered: it needs an endpoint for backends to ask.
    """

    id = "cp:otoroshi.next.plugins.OtoroshiInfos"
    name = "Otoroshi info. token"
    description = "Sends a signed token about the consumer to the backend."
    categories = ("Security", "Classic")

    def __init__(self, config: OtoroshiInfosConfig) -> None:
        super().__init__(config)
        self._added = {
            name: compiled_template(f"$.add_fields[{name!r}]", text)
            for name, text in (config.add_fields or {}).items()
        }

        self._told_s = -float("inf")

    @cached_property
    def _keys(self) -> TokenKeys:
        return TokenKeys(msgspec.json.encode(self.config.algo))

    @override
    async def transform_request(self, exchange: Exchange) -> Refusal | None:
        claims = self._claims(exchange)
        if self.config.projection:
            try:
                run_filter = partial(run, whose=exchange.route_id)
                claims = await projected(claims, self.config.projection, run_filter)
            except JqError as error:
                self._tell(exchange, error)
                return BUSY if isinstance(error, JqBusyError) else CANNOT_SIGN
        # A projection may make anything of the claims; a token has an object.
        is_object = isinstance(claims, dict)
        token = self._keys.sign(msgspec.json.encode(claims), exchange) if is_object else None
        if token is None:
            return CANNOT_SIGN
        name = self.config.header_name or "Otoroshi-Claim"
        exchange.request.headers.remove(name)
        exchange.request.headers.set(name, token)
        return None

    def _tell(self, exchange: Exchange, error: JqError) -> None:
        """Log that a filter fails, unless that was told a moment ago; what jq says of it may hold parts of the claims."""
        if exchange.unix_time - self._told_s >= TELL_AGAIN_S:
            self._told_s = exchange.unix_time
            what = error.message if isinstance(error, JqBoundError) else "it cannot take the claims"
            logger.warning(
                "route %s: a filter of the info token's projection fails: %s",
                exchange.route_id,
                what,
            )

    def _claims(self, exchange: Exchange) -> Any:
        now = int(exchange.unix_time)
        claims: dict[str, Any] = {
            "iss": "Otoroshi",
            "sub": "",
            "aud": exchange.route_name,
            "exp": now + self.config.ttl,
            "iat": now,
            "nbr": now,
            "jti": str(uuid.uuid4()),
        }
        if self.config.version == "Legacy":
            _say_legacy(claims, exchange)
            return claims
        _say_latest(claims, exchange.user, _light(exchange))
        for name, template in self._added.items():
            claims[name] = template.render(exchange)
        return claims

    @override
    def lower(self) -> tuple[Step, ...] | None:
        if self.config.projection:
            return None
        return (steps.Native("otoroshi_infos", Phase.TRANSFORM_REQUEST, self.config),)


Facts = Mapping[str, Any] | None


def _text(facts: Facts, name: str) -> str | None:
    """Return a member that is text."""
    value = facts.get(name) if facts is not None else None
    return value if isinstance(value, str) else None


def _first(*texts: str | None) -> str | None:
    return next((text for text in texts if text is not None), None)


def _light(exchange: Exchange) -> Facts:
    """Return what tokens tell of the caller's key."""
    return None if exchange.apikey is None else exchange.apikey.light()


def _say_latest(claims: dict[str, Any], user: Facts, apikey: Facts) -> None:
    """Add who calls, as objects."""
    claims["sub"] = _first(_text(user, "email"), _text(apikey, "clientName"), "public")
    has = (user is not None, apikey is not None)
    kinds = {(True, True): "both", (True, False): "user", (False, True): "apikey"}
    claims["access_type"] = kinds.get(has, "public")
    if user is not None:
        claims["user"] = _clean(user)
    if apikey is not None:
        claims["apikey"] = dict(apikey)


def _clean(user: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a backend learns of a user."""
    told: dict[str, Any] = {name: user.get(name) for name in ("name", "email", "profile")}
    return {**told, "metadata": user.get("metadata", {}), "tags": user.get("tags", list[str]())}


def _say_legacy(claims: dict[str, Any], exchange: Exchange) -> None:
    """Add who calls, as flat claims; what stands first stays."""
    user, apikey = exchange.user, _light(exchange)
    email, client_id = _text(user, "email"), _text(apikey, "clientId")
    claims["sub"] = f"pa:{email}" if email is not None else f"apikey:{client_id}"
    if email is None and client_id is None:
        claims["sub"] = "--"
    found = user.get("profile") if user is not None else None
    profile = cast("dict[str, Any]", found) if isinstance(found, dict) else None
    data = user.get("otoroshiData") if user is not None else None
    of_key = apikey.get("metadata") if apikey is not None else None
    metadata = cast("Any", data if isinstance(data, dict) else of_key)
    who = user if user is not None else apikey
    told: dict[str, Any] = {
        "email": email,
        "name": _first(_text(user, "name"), _text(apikey, "clientName")),
        "picture": _text(profile, "picture"),
        "user_id": _first(_text(profile, "user_id"), _text(profile, "sub"), client_id),
        "given_name": _text(profile, "given_name"),
        "family_name": _text(profile, "family_name"),
        "gender": _text(profile, "gender"),
        "locale": _text(profile, "locale"),
        "nickname": _text(profile, "nickname"),
        "metadata": _written(metadata),
        "tags": _written(who.get("tags")) if who is not None and "tags" in who else None,
        "user": _written(_clean(user)) if user is not None else None,
        "apikey": _written(dict(apikey)) if apikey is not None else None,
    }
    if exchange.client_certificate is not None:
        told["clientCertChain"] = certificate_chain(exchange.client_certificate)
    spread = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    for name, value in (*told.items(), *spread.items()):
        if value is not None:
            claims.setdefault(name, value)


def _written(json: object) -> str | None:
    """Return JSON as text, members in the order of their names."""
    return None if json is None else msgspec.json.encode(json, order="deterministic").decode()
