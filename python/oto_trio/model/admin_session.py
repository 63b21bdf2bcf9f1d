"""The session of an administrator in the console. A login makes it; the admin API reads and ends it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document
from oto_trio.model.location import Location
from oto_trio.model.rights import SUPER_ADMIN, UserRight, Validators
from oto_trio.model.simple_admin import now_ms

__all__ = ["ADMIN_SESSIONS", "AdminSession"]

ADMIN_SESSIONS = "admin-sessions"
"""Kind under which the store keeps them."""


class AdminSession(Document, frozen=True, kw_only=True, rename="camel"):
    """A session of an administrator (``security.otoroshi.io/AdminSession``).

    Rights that are no list are an error: their default allows everything.
    """

    strict_keys = frozenset({"rights", "adminEntityValidators"})

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    random_id: Annotated[str, Meta(description="id of the session")]
    name: Annotated[str, Meta(description="name of the user")]
    email: Annotated[str, Meta(description="email address of the user")]
    auth_config_id: Annotated[
        str, Meta(description="id of the auth module that logged the user in; none = a password")
    ] = "none"
    profile: Annotated[Any, Meta(description="what the auth module knows of the user")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    token: Annotated[Any, Meta(description="tokens that the auth module got for the user")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    simple_login: Annotated[bool, Meta(description="logged in with name and password")] = True
    created_at: Annotated[Whole, Meta(description="when it began, ms since 1970")] = msgspec.field(
        default_factory=now_ms
    )
    expired_at: Annotated[Whole, Meta(description="when it ends, ms since 1970")] = msgspec.field(
        default_factory=now_ms
    )
    last_refresh: Annotated[Whole, Meta(description="when its tokens were got, ms since 1970")] = (
        msgspec.field(default_factory=now_ms)
    )
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    rights: Annotated[
        tuple[UserRight, ...], Meta(description="what the user may do; left out = everything")
    ] = SUPER_ADMIN
    admin_entity_validators: Annotated[
        Validators, Meta(description="checks of what the user writes, by kind of entity or all")
    ] = msgspec.field(default_factory=Validators)

    @property
    def id(self) -> str:
        """The random id is the entity's."""
        return self.random_id
