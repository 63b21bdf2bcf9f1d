"""Make the user of a request from a token that a JWT verifier accepts.

Phases: pre_route. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgJwtUserExtractor``.
"""

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Answer, Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.json_values import JsonPathError, compile_path
from oto_trio.plugin_api.undecided import decide_with_key_sets

__all__ = ["NgJwtUserExtractor", "NgJwtUserExtractorConfig"]

_PATHS: Final = {"namePath": "name_path", "emailPath": "email_path", "metaPath": "meta_path"}
_MEMBERS: Final = re.compile(r"(?:\$\.)?([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)")


class NgJwtUserExtractorConfig(Config, frozen=True):
    """Which verifier, and where the user's facts are in the token."""

    verifier: Annotated[str, Meta(description="Id of a JWT verifier.")] = "none"
    strict: Annotated[
        bool, Meta(description="Answer 401 when there is no user; otherwise go on without.")
    ] = True
    strip: Annotated[
        bool, Meta(description="Leave iss, sub, aud, exp, nbf, iat and jti out of the profile.")
    ] = False
    name_path: Annotated[
        str | None, Meta(description="JSONPath of the user's name; the claim name by default.")
    ] = None
    email_path: Annotated[
        str | None, Meta(description="JSONPath of the mail address; the claim email by default.")
    ] = None
    meta_path: Annotated[
        str | None, Meta(description="JSONPath of the otoroshi data, an object; none by default.")
    ] = None

    @classmethod
    @override
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Take the spelling that Otoroshi reads beside the one it writes."""
        for read, written in _PATHS.items():
            if raw.get(read) is not None:
                raw[written] = raw[read]
        return raw

    def __post_init__(self) -> None:
        """Refuse a path that is none when the config is read."""
        for name in _PATHS.values():
            path: str | None = getattr(self, name)
            if path is None:
                continue
            try:
                compile_path(path)
            except JsonPathError as error:
                raise ValueError(f"{name}: {error}") from error


class _Settings(msgspec.Struct, frozen=True):
    """What the native step reads: a path as its members, empty when the hook follows it."""

    verifier: str
    strict: bool
    strip: bool
    name: tuple[str, ...]
    email: tuple[str, ...]
    meta: tuple[str, ...]


class NgJwtUserExtractor(Plugin[NgJwtUserExtractorConfig]):
    """Logs in, for this request, the user whom a good token names.

    The user's profile and ``token.payload`` are the claims; claims with one value can be asked for in
    expressions. Without verifier, without token or with a bad one the answer is 401 when ``strict``, else
    the request goes on. What the verifier's strategy would make of the token is not made. A name or mail
    address that is not there, or no text, is ``--``.

    Otoroshi writes ``name_path`` and its like but reads ``namePath``; here both are read. Paths that are
    more than names between dots are followed in Python.
    """

    id = "cp:otoroshi.next.plugins.NgJwtUserExtractor"
    name = "Jwt user extractor"
    description = "Builds the request's user from a JWT that a verifier accepts."
    categories = ("Authentication",)

    @override
    async def pre_route(self, exchange: Exchange) -> Answer:
        if exchange.wanted_key_set is not None:
            answer = await decide_with_key_sets(exchange)
            if answer is not None:
                return answer
        self._follow_paths(exchange)
        return None

    def _follow_paths(self, exchange: Exchange) -> None:
        """Fill in what the native step left out."""
        config, user = self.config, exchange.user
        if user is None or user.get("authConfigId") != f"JwtUserExtractor@{exchange.route_id}":
            return
        claims = user["token"]["payload"]
        told: dict[str, Any] = {}
        for field, path in (("name", config.name_path), ("email", config.email_path)):
            if path is not None and not _members(path):
                value = compile_path(path).value(claims)
                told[field] = value if isinstance(value, str) else "--"
        if config.meta_path is not None and not _members(config.meta_path):
            value = compile_path(config.meta_path).value(claims)
            told["otoroshiData"] = value if isinstance(value, dict) else None
        if told:
            exchange.user = {**user, **told}

    @override
    def lower(self) -> tuple[Step, ...]:
        config = self.config
        name, email = config.name_path or "name", config.email_path or "email"
        settings = _Settings(
            config.verifier,
            config.strict,
            config.strip,
            _members(name),
            _members(email),
            _members(config.meta_path or ""),
        )
        step = steps.Native("jwt_user", Phase.PRE_ROUTE, settings, undecided=True)
        paths = (name, email, config.meta_path or "meta")
        if all(_members(path) for path in paths):
            return (step,)
        return (step, steps.Hook(Phase.PRE_ROUTE))


def _members(path: str) -> tuple[str, ...]:
    """Return the names that a plain path is made of; none for any other path."""
    match = _MEMBERS.fullmatch(path)
    return () if match is None else tuple(match[1].split("."))
