"""Let through whoever has a role.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.RBAC``.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    ApiKey,
    Config,
    Exchange,
    Native,
    Phase,
    Plugin,
    Refusal,
    Step,
)
from oto_trio.plugin_api.json_values import JsonPathError, compile_path

__all__ = ["RBAC", "RbacConfig"]

_Path = Annotated[str | None, Meta(description="JSONPath that finds further roles.")]


class RbacConfig(Config, frozen=True):
    """Which roles, and where they are."""

    allow: Annotated[tuple[str, ...], Meta(description="Roles that let in.")] = ()
    deny: Annotated[tuple[str, ...], Meta(description="Roles that keep out.")] = ()
    allow_all: Annotated[bool, Meta(description="Ask for all the roles that let in.")] = False
    deny_all: Annotated[bool, Meta(description="Keep out who has all of deny, not any.")] = False
    jwt_path: _Path = None
    apikey_path: _Path = None
    user_path: _Path = None
    role_prefix: Annotated[
        str | None, Meta(description="What stands before role: in tags, without its colon.")
    ] = None
    roles: Annotated[str, Meta(description="Claim and metadata that list roles.")] = "roles"

    def __post_init__(self) -> None:
        """Refuse a path that is none when the config is read."""
        for name in ("jwt_path", "apikey_path", "user_path"):
            path: str | None = getattr(self, name)
            try:
                if path:
                    compile_path(path)
            except JsonPathError as error:
                raise ValueError(f"{name}: {error}") from error


class RBAC(Plugin[RbacConfig]):
    """Refuses with 403 unless the token, the API key or the user has the roles that are asked for.

    Each of them is judged by itself, and one that passes is enough. Roles are in the claim ``roles`` of the
    token that was verified last; in tags ``role:name`` (``prefix:role:name``) of key and user; in their metadata
    ``roles``, a JSON list; in the user's ``otoroshiData``, as a list or separated by commas. Whoever has no
    role does not pass. An empty ``deny`` denies nobody, also with ``deny_all``; an empty ``allow`` lets nobody in
    but with ``allow_all``. Paths are followed in Python.
    """

    id = "cp:otoroshi.next.plugins.RBAC"
    name = "RBAC"
    description = "Lets through tokens, API keys and users with some roles."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        token, key, user = exchange.token, exchange.apikey, exchange.user
        if token is not None and self._admits(self._of_token(token.get("payload"))):
            return None
        if key is not None and self._admits(self._of_key(key)):
            return None
        if user is not None and self._admits(self._of_user(user)):
            return None
        return Refusal(403, "forbidden")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (Native("rbac", Phase.ACCESS, self.config, undecided=True),)

    def _admits(self, roles: set[str]) -> bool:
        """Tell whether a caller with these roles may pass."""
        allow, deny = set(self.config.allow), set(self.config.deny)
        is_allowed = allow <= roles if self.config.allow_all else bool(allow & roles)
        is_denied = bool(deny) and deny <= roles if self.config.deny_all else bool(deny & roles)
        return bool(roles) and is_allowed and not is_denied

    def _of_token(self, payload: object) -> set[str]:
        claims: Mapping[str, Any] = (
            cast("Mapping[str, Any]", payload) if isinstance(payload, Mapping) else {}
        )
        return {*_texts(claims.get(self.config.roles)), *_found(self.config.jwt_path, claims)}

    def _of_key(self, key: ApiKey) -> set[str]:
        return {
            *self._of_tags(key.tags),
            *_encoded(key.metadata.get(self.config.roles)),
            *_found(self.config.apikey_path, key.light()),
        }

    def _of_user(self, user: Mapping[str, Any]) -> set[str]:
        listed = _member(user, "metadata", self.config.roles)
        data = _member(user, "otoroshiData", self.config.roles)
        return {
            *self._of_tags(_texts(user.get("tags"))),
            *(_encoded(listed) if isinstance(listed, str) else _texts(listed)),
            *(_separated(data) if isinstance(data, str) else _texts(data)),
            *_found(self.config.user_path, user),
        }

    def _of_tags(self, tags: Iterable[str]) -> list[str]:
        prefix = f"{self.config.role_prefix}:role:" if self.config.role_prefix else "role:"
        return [tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)]


def _member(document: Mapping[str, Any], place: str, name: str) -> object:
    inner: Any = document.get(place)
    return cast("Mapping[str, Any]", inner).get(name) if isinstance(inner, Mapping) else None


def _texts(value: object) -> list[str]:
    """Return the texts of a list; nothing of anything else."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]


def _encoded(text: object) -> list[str]:
    """Return the texts of a list that is written as JSON."""
    try:
        return _texts(msgspec.json.decode(text)) if isinstance(text, str) else []
    except msgspec.DecodeError:
        return []


def _separated(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _found(path: str | None, document: Mapping[str, Any]) -> list[str]:
    """Return the roles at a path: texts, and the texts of lists."""
    if not path:
        return []
    values = compile_path(path).find(dict(document))
    return [
        role for value in values for role in ([value] if isinstance(value, str) else _texts(value))
    ]
