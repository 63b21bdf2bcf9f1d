"""The session of a user whom a route asked to log in. A login makes it; the admin API reads and ends it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document
from oto_trio.model.location import Location

__all__ = ["AUTH_MODULE_USERS", "AuthModuleUser"]

AUTH_MODULE_USERS = "auth-module-users"
"""Kind under which the store keeps them."""


class AuthModuleUser(Document, frozen=True, kw_only=True, rename="camel"):
    """A session of a user of a protected route (``security.otoroshi.io/AuthModuleUser``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    random_id: Annotated[str, Meta(description="id of the session")]
    name: Annotated[str, Meta(description="name of the user")]
    email: Annotated[str, Meta(description="email address of the user")]
    auth_config_id: Annotated[str, Meta(description="id of the auth module")]
    profile: Annotated[Any, Meta(description="what the auth module knows of the user")]
    token: Annotated[Any, Meta(description="tokens that the auth module got for the user")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    realm: Annotated[str, Meta(description="name under which the session's cookie is known")]
    otoroshi_data: Annotated[
        dict[str, Any] | None, Meta(description="what the gateway knows of the user")
    ] = None
    created_at: Annotated[Whole, Meta(description="when it began, ms since 1970")]
    expired_at: Annotated[Whole, Meta(description="when it ends, ms since 1970")]
    last_refresh: Annotated[Whole, Meta(description="when its tokens were got, ms since 1970")]
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()

    @property
    def id(self) -> str:
        """The random id is the entity's."""
        return self.random_id
