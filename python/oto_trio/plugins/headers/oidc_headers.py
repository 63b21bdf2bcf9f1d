"""Tell the backend who the user is, and give it the user's tokens.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.OIDCHeaders``.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderName, Phase, Plugin, Step, steps
from oto_trio.plugin_api.fields import writable_name

__all__ = ["OIDCHeaders", "OIDCHeadersConfig"]

_NONE = "--"


class ProfileHeader(msgspec.Struct, frozen=True, rename="camel"):
    """Whether and where the user's profile is sent."""

    send: Annotated[bool, Meta(description="Send it.")] = False
    header_name: Annotated[HeaderName, Meta(description="The header.")] = "X-OIDC-User"


class IdTokenHeader(msgspec.Struct, frozen=True, rename="camel"):
    """Whether and where the user's id token is sent."""

    send: Annotated[bool, Meta(description="Send it.")] = False
    name: Annotated[str, Meta(description="Its member of the user's token.")] = "id_token"
    header_name: Annotated[HeaderName, Meta(description="The header.")] = "X-OIDC-Id-Token"
    jwt: Annotated[bool, Meta(description="Send what it says, as JSON, instead of itself.")] = True


class AccessTokenHeader(msgspec.Struct, frozen=True, rename="camel"):
    """Whether and where the user's access token is sent."""

    send: Annotated[bool, Meta(description="Send it.")] = False
    name: Annotated[str, Meta(description="Its member of the user's token.")] = "access_token"
    header_name: Annotated[HeaderName, Meta(description="The header.")] = "X-OIDC-Access-Token"
    jwt: Annotated[bool, Meta(description="Send what it says, as JSON, instead of itself.")] = True


class OIDCHeadersConfig(Config, frozen=True, rename="camel"):
    """What is sent, and in which headers."""

    profile: Annotated[ProfileHeader, Meta(description="The user's profile.")] = ProfileHeader()
    id_token: Annotated[IdTokenHeader, Meta(description="The id token.")] = IdTokenHeader()
    access_token: Annotated[AccessTokenHeader, Meta(description="The access token.")] = (
        AccessTokenHeader()
    )

    def __post_init__(self) -> None:
        """Refuse the fields that frame a message when the config is read."""
        for key, part in (
            ("profile", self.profile),
            ("idToken", self.id_token),
            ("accessToken", self.access_token),
        ):
            if part.send:
                writable_name(f"{key}.headerName", part.header_name)


class OIDCHeaders(Plugin[OIDCHeadersConfig]):
    """Writes profile, id token and access token of the user into headers, each when it is asked for.

    ``--`` stands for a token that is not there, is no text that a header can carry, or, with ``jwt``, has no
    payload. Payloads are not checked here: who logged the user in has done so. JSON is sent in ASCII,
    with escapes for the rest.

    Unlike Otoroshi: without a user who has tokens the headers are taken away, so that no client can pass
    itself off as somebody; and ``profile`` without ``send`` is not sent.
    """

    id = "cp:otoroshi.next.plugins.OIDCHeaders"
    name = "OIDC headers"
    description = "Sends profile and tokens of the user to the backend as headers."
    categories = ("Headers",)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        config, user, headers = self.config, exchange.user, exchange.request.headers
        token = user.get("token") if user is not None else None
        known = user if isinstance(token, Mapping) and token else None
        if config.profile.send:
            profile = None if known is None else known.get("profile")
            text = _NONE if profile is None else _escaped(msgspec.json.encode(profile).decode())
            name = config.profile.header_name or "X-OIDC-User"
            headers.remove(name)
            if known is not None:
                headers.set(name, text)
        for part, default in (
            (config.id_token, "X-OIDC-Id-Token"),
            (config.access_token, "X-OIDC-Access-Token"),
        ):
            if not part.send:
                continue
            name = part.header_name or default
            headers.remove(name)
            if known is not None:
                headers.set(name, _told(known["token"].get(part.name), is_jwt=part.jwt))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("oidc_headers", Phase.TRANSFORM_REQUEST, self.config),)


def _told(token: Any, *, is_jwt: bool) -> str:
    """Return what a header says of a token."""
    if not isinstance(token, str) or not token:
        return _NONE
    if is_jwt:
        return _payload(token)
    fits = token.isascii() and token.isprintable() and " " not in token
    return token if fits else _NONE


def _payload(token: str) -> str:
    """Return the payload of a JWT, if it is a JSON object."""
    parts = token.split(".")
    if len(parts) != 3 or not parts[1].isascii() or set("+/=") & set(parts[1]):
        return _NONE
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        data = base64.b64decode(padded, b"-_", validate=True)
        msgspec.json.decode(data, type=dict[str, Any])
        text = data.decode()
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        return _NONE
    return _escaped(text)


def _escaped(text: str) -> str:
    """Return JSON as a header can carry it."""
    spaced = text.translate({ord(char): " " for char in "\t\r\n"})
    return "".join(
        char if " " <= char <= "~" else "".join(f"\\u{unit:04x}" for unit in _units(char))
        for char in spaced
    )


def _units(char: str) -> list[int]:
    """Return a character's UTF-16 code units."""
    data = char.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]
