"""The API key: who may call, on which routes, how often and until when.

The client's id is the entity's id. What a key may call has three spellings in Otoroshi's JSON, all of
them written: ``authorizations``, ``authorizedEntities`` and the oldest, ``authorizedGroup``. Reading
takes the union, so to take an authorisation away a client must remove it from all three.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.document import EVERY_KEY, Document, JsonObject, read_document, write_document
from oto_trio.model.location import Location

__all__ = [
    "HOUR_MS",
    "ID_LENGTH",
    "ROTATING",
    "ROTATIONS",
    "SECRET_LENGTH",
    "ApiKey",
    "Authorization",
    "RestrictedPath",
    "Restrictions",
    "Rotation",
    "RotationPeriod",
    "api_key_bearer",
    "api_key_template",
    "is_expired",
    "light_api_key",
    "new_client_id",
    "new_client_secret",
    "read_api_key",
    "rotated",
    "rotation_end_ms",
    "shown_api_key",
    "with_bearer",
    "with_secrets",
    "write_api_key",
]

HOUR_MS: Final = 3_600_000

ROTATIONS: Final = "apikeys-rotation"
"""Kind of the store's records that say when the period of a key began. Source: Otoroshi's store."""

ROTATING: Final = b'"rotation":{"enabled":true'
"""What the store's text of a key that rotates has in it; the others need not be decoded."""

ID_LENGTH: Final = 16
"""Characters of a generated client id. Source: Otoroshi's template."""

SECRET_LENGTH: Final = 64
"""Characters of a generated client secret. Source: Otoroshi's template."""

UNLIMITED: Final = 10_000_000
"""The quota of a key that names none. Source: Otoroshi's ``RemainingQuotas.MaxValue``."""

_ALPHABET: Final = string.ascii_lowercase + string.digits
_KINDS: Final = ("route-composition", "service", "group", "route", "api")
_NOT_BLANK: Final = r"\S"

NotBlank = Annotated[str, Meta(min_length=1, pattern=_NOT_BLANK)]


def _spelling(kind: str, entity_id: str) -> str:
    """Write an authorisation as ``authorizedEntities`` has it."""
    return f"{kind}_{entity_id}"


class Authorization(Document, frozen=True, kw_only=True):
    """One thing that a key may call."""

    strict_keys = EVERY_KEY

    kind: Annotated[
        Literal["group", "service", "route", "route-composition", "api"],
        Meta(description="what the id names"),
    ]
    id: Annotated[str, Meta(description="id of the group, service, route or API")]


class RestrictedPath(Document, frozen=True, kw_only=True):
    """One rule of a key's restrictions."""

    strict_keys = EVERY_KEY

    method: Annotated[str, Meta(description="a method in any case, or * for all")] = "*"
    path: Annotated[
        str,
        Meta(description="pattern of the whole path; without a leading / of domain and path"),
    ] = "/.*"
    authorized_entity: Annotated[
        Authorization | None, Meta(description="the only place where the rule holds; null = all")
    ] = None


class Restrictions(Document, frozen=True, kw_only=True):
    """Which paths a key may call."""

    strict_keys = EVERY_KEY

    enabled: Annotated[bool, Meta(description="apply the rules")] = False
    allow_last: Annotated[
        bool, Meta(description="let through what no rule names, else only what is allowed")
    ] = msgspec.field(default=True, name="allowLast")
    allowed: Annotated[tuple[RestrictedPath, ...], Meta(description="what may be called")] = ()
    forbidden: Annotated[tuple[RestrictedPath, ...], Meta(description="answered with 403")] = ()
    not_found: Annotated[tuple[RestrictedPath, ...], Meta(description="answered with 404")] = (
        msgspec.field(default=(), name="notFound")
    )


class Rotation(Document, frozen=True, kw_only=True):
    """How the secret of a key is replaced in time."""

    strict_keys = EVERY_KEY

    enabled: Annotated[bool, Meta(description="replace the secret regularly")] = False
    rotation_every: Annotated[int, Meta(description="hours a secret lives", ge=1)] = msgspec.field(
        default=31 * 24, name="rotationEvery"
    )
    grace_period: Annotated[
        int, Meta(description="hours before its end in which the next one works too", ge=0)
    ] = msgspec.field(default=7 * 24, name="gracePeriod")
    next_secret: Annotated[str | None, Meta(description="the secret that comes next")] = (
        msgspec.field(default=None, name="nextSecret")
    )

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Leave out the bearer that answers carry."""
        return {k: v for k, v in raw.items() if k != "bearer"}


class ApiKey(Document, frozen=True, kw_only=True):
    """An API key (``apim.otoroshi.io/Apikey``)."""

    strict_keys = EVERY_KEY

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    client_id: Annotated[NotBlank, Meta(description="id of the client, and of the key")] = (
        msgspec.field(name="clientId")
    )
    client_secret: Annotated[NotBlank, Meta(description="secret of the client")] = msgspec.field(
        name="clientSecret"
    )
    client_name: Annotated[NotBlank, Meta(description="name of the client")] = msgspec.field(
        name="clientName"
    )
    description: Annotated[str, Meta(description="what it is for")] = ""
    authorized_group: Annotated[
        str | None, Meta(description="id of the first group it may call; legacy")
    ] = msgspec.field(default=None, name="authorizedGroup")
    authorized_entities: Annotated[
        tuple[str, ...], Meta(description="what it may call, as group_ID, route_ID, api_ID…")
    ] = msgspec.field(default=(), name="authorizedEntities")
    authorizations: Annotated[tuple[Authorization, ...], Meta(description="what it may call")] = ()
    enabled: Annotated[bool, Meta(description="let the client in; false once it expired")] = True
    read_only: Annotated[
        bool, Meta(description="GET, HEAD and OPTIONS only; checked by legacy services alone")
    ] = msgspec.field(default=False, name="readOnly")
    allow_client_id_only: Annotated[
        bool, Meta(description="take the client id without the secret")
    ] = msgspec.field(default=False, name="allowClientIdOnly")
    throttling_strategy: Annotated[
        dict[str, Any] | None, Meta(description="how calls are counted; null = by window and day")
    ] = msgspec.field(default=None, name="throttlingStrategy")
    throttling_quota: Annotated[int, Meta(description="calls in a throttling window")] = (
        msgspec.field(default=UNLIMITED, name="throttlingQuota")
    )
    daily_quota: Annotated[int, Meta(description="calls per day")] = msgspec.field(
        default=UNLIMITED, name="dailyQuota"
    )
    monthly_quota: Annotated[int, Meta(description="calls per month")] = msgspec.field(
        default=UNLIMITED, name="monthlyQuota"
    )
    constrained_services_only: Annotated[
        bool, Meta(description="only on routes that constrain their keys")
    ] = msgspec.field(default=False, name="constrainedServicesOnly")
    restrictions: Annotated[Restrictions, Meta(description="which paths it may call")] = (
        Restrictions()
    )
    rotation: Annotated[Rotation, Meta(description="how its secret is replaced")] = Rotation()
    valid_until: Annotated[
        int | None, Meta(description="end of its life, Unix time in ms; null = none")
    ] = msgspec.field(default=None, name="validUntil")
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[
        dict[str, str], Meta(description="free texts by name; some names have a meaning")
    ] = msgspec.field(default_factory=dict[str, str])

    @property
    def id(self) -> str:
        """The client's id is the entity's."""
        return self.client_id

    def __post_init__(self) -> None:
        """Bring the three spellings of the authorisations together, and drop nameless metadata."""
        allowed = {_spelling(one.kind, one.id): one for one in self.authorizations}
        legacy = list(self.authorized_entities)
        if self.authorized_group is not None:
            legacy.append(_spelling("group", self.authorized_group))
        for text in legacy:
            one = _parsed(text)
            allowed.setdefault(_spelling(one.kind, one.id), one)
        group = next((one.id for one in allowed.values() if one.kind == "group"), None)
        msgspec.structs.force_setattr(self, "authorizations", tuple(allowed.values()))
        msgspec.structs.force_setattr(self, "authorized_entities", tuple(allowed))
        msgspec.structs.force_setattr(self, "authorized_group", group)
        if "" in self.metadata:
            named = {k: v for k, v in self.metadata.items() if k}
            msgspec.structs.force_setattr(self, "metadata", named)

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Leave out the bearer that answers carry, and what is null and cannot be.

        Daikoku sends the bearer back, and ``rotation: null``.
        """
        return {k: v for k, v in raw.items() if k != "bearer" and (v is not None or k in _NULLABLE)}


_NULLABLE: Final = frozenset({"authorizedGroup", "throttlingStrategy", "validUntil"})


def _parsed(text: str) -> Authorization:
    """Read an element of ``authorizedEntities``; one without a known prefix is a group."""
    for kind in _KINDS:
        if text.startswith(f"{kind}_"):
            return Authorization(kind=kind, id=text[len(kind) + 1 :])
    return Authorization(kind="group", id=text)


def read_api_key(raw: object) -> ApiKey:
    """Read an API key from its decoded JSON document.

    Raises:
        EntityError: A required key is missing or wrong; lists every such key.
    """
    return read_document(ApiKey, raw)


def write_api_key(key: ApiKey) -> JsonObject:
    """Write an API key as its JSON document, keys in Otoroshi's order."""
    return write_document(key)


def is_expired(valid_until: object, now_ms: int) -> bool:
    """Tell whether a key's ``validUntil`` is past."""
    return isinstance(valid_until, int) and valid_until <= now_ms


def shown_api_key(document: JsonObject, now_ms: int) -> JsonObject:
    """Make a stored document as it reads at a time: an expired key is not enabled.

    Args:
        document: The document as stored; not changed.
        now_ms: Unix time in milliseconds.
    """
    if is_expired(document.get("validUntil"), now_ms) and document.get("enabled") is not False:
        return {**document, "enabled": False}
    return document


def api_key_bearer(client_id: str, secret: str) -> str:
    """Make the token that stands for a client id and its secret.

    Source: Otoroshi's ``otoapk_`` bearer: an HMAC-SHA256 of the token's own beginning.
    """
    start = f"otoapk_{client_id}"
    return f"{start}_{hmac.new(secret.encode(), start.encode(), hashlib.sha256).hexdigest()}"


def with_bearer(document: JsonObject) -> JsonObject:
    """Add the bearers to a key's document, as the generic dialect of the admin API answers it."""
    client_id, secret = document.get("clientId"), document.get("clientSecret")
    if not isinstance(client_id, str) or not isinstance(secret, str):
        return document
    shown = {**document, "bearer": api_key_bearer(client_id, secret)}
    rotation = cast("JsonObject", document.get("rotation") or {})
    if rotation.get("enabled") and rotation.get("nextSecret"):
        bearer = api_key_bearer(client_id, rotation["nextSecret"])
        shown["rotation"] = {**rotation, "bearer": bearer}
    return shown


def light_api_key(key: ApiKey) -> JsonObject:
    """Make the short form of a key that tokens and events carry; it holds no secret."""
    return {
        "clientId": key.client_id,
        "clientName": key.client_name,
        "metadata": dict(key.metadata),
        "tags": list(key.tags),
    }


class RotationPeriod(msgspec.Struct, frozen=True):
    """When the period of a key that rotates began: a record of the kind `ROTATIONS`, by client id."""

    start: int
    """Unix time in milliseconds."""


def rotation_end_ms(key: ApiKey, start_ms: int) -> int:
    """Return when the secret of a key has to go whose period began at `start_ms`, as Unix time in ms."""
    return start_ms + key.rotation.rotation_every * HOUR_MS


def rotated(key: ApiKey) -> ApiKey:
    """Return a key as it is from the end of its period on: the next secret takes the place of its own.

    Where none was made for the next period, a new one is, which nobody knows yet.
    """
    return with_secrets(key, key.rotation.next_secret or new_client_secret(), None)


def with_secrets(key: ApiKey, secret: str, next_secret: str | None) -> ApiKey:
    """Return a key with other secrets."""
    rotation = msgspec.structs.replace(key.rotation, next_secret=next_secret)
    return msgspec.structs.replace(key, client_secret=secret, rotation=rotation)


def new_client_id() -> str:
    """Make a client id: 16 lower-case letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH))


def new_client_secret(length: int = SECRET_LENGTH) -> str:
    """Make a secret of lower-case letters and digits, 64 unless told otherwise."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def api_key_template(group: str | None = None) -> ApiKey:
    """Make the key that ``_template`` answers with.

    Args:
        group: Id of the group it may call; None for none.
    """
    return ApiKey(
        client_id=new_client_id(),
        client_secret=new_client_secret(),
        client_name="client-name-apikey",
        authorized_group=group,
    )
