"""The simple administrator: a user with a name and a password, who may log in to the console."""

import re
import time
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document
from oto_trio.model.location import Location
from oto_trio.model.rights import SUPER_ADMIN, UserRight, Validators

__all__ = ["SIMPLE_ADMINS", "SimpleAdmin", "is_password_hash", "now_ms", "simple_admin_template"]

SIMPLE_ADMINS = "admins"
"""Kind under which the store keeps them."""

# Each cost doubles the time: one of 14 takes about a second, one of 31 a day and more, which nothing ends.
# A $ at the end would let a line break follow.
_BCRYPT = r"^\$2[abxy]?\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}(?![\s\S])"
# The template's password is known to everybody, as Otoroshi's is.
_HASH_OF_PASSWORD = "$2b$10$AUBQ7UoO6naSQbG8KvccpuzlVIRFzDw8rBTfbvF4jyNbAJD9S8iDC"  # noqa: S105


def now_ms() -> int:
    """Return the time of the clock on the wall, in ms since 1970."""
    return time.time_ns() // 1_000_000


def is_password_hash(text: str) -> bool:
    """Tell whether a text is a BCrypt hash of a cost, 4 to 14, that a login can be let pay."""
    return re.match(_BCRYPT, text) is not None


class SimpleAdmin(Document, frozen=True, kw_only=True, rename="camel"):
    """A simple administrator (``security.otoroshi.io/SimpleAdminUser``).

    Otoroshi stores any text as ``password``, and a password in clear can then neither log in nor stay
    secret; here it is an error, and so is a hash of a cost above 14, which one login could not pay. Rights that are no list are one too: their default allows everything.
    """

    strict_keys = frozenset({"rights", "adminEntityValidators"})

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    username: Annotated[str, Meta(description="name to log in with, an email address as a rule")]
    password: Annotated[
        str,
        Meta(description="BCrypt hash of the password, of cost 4 to 14: $2b$10$…", pattern=_BCRYPT),
    ]
    label: Annotated[str, Meta(description="name to show")]
    created_at: Annotated[Whole, Meta(description="when it was made, ms since 1970")] = (
        msgspec.field(default_factory=now_ms)
    )
    type: Annotated[Literal["SIMPLE"], Meta(description="kind of administrator")] = "SIMPLE"
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    rights: Annotated[
        tuple[UserRight, ...], Meta(description="what it may do; left out = everything")
    ] = SUPER_ADMIN
    admin_entity_validators: Annotated[
        Validators, Meta(description="checks of what it writes, by kind of entity or all")
    ] = msgspec.field(default_factory=Validators)

    @property
    def id(self) -> str:
        """The name to log in with is the entity's id."""
        return self.username


def simple_admin_template() -> SimpleAdmin:
    """Make the administrator that ``_template`` answers with; its password is ``password``."""
    return SimpleAdmin(
        username="new.admin@foo.bar",
        password=_HASH_OF_PASSWORD,
        label="new admin",
        rights=(UserRight(tenant="default:rw", teams=("default:rw",)),),
    )
