"""The installation's API key in the store: brought at a start, taken out when another one takes its place.

A key that is authorised for the admin API and has no rights in its metadata may do everything. So the one that
a start put into the store must not stay there when the next start has other credentials: it was superseded
because it leaked, or it is the well-known one of ``--dev``. Which key a gateway put there is remembered in the
store, by gateway: several of them on one store keep each other's.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.store.base import Delete, Put
from oto_trio.model.api_key import ApiKey, Authorization
from oto_trio.model.document import encode_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oto_trio.control.credentials import AdminCredentials
    from oto_trio.control.store.base import Record, Store, Write

__all__ = ["ADMIN_GROUP", "installation_key_writes"]

logger = logging.getLogger(__name__)

ADMIN_GROUP: Final = "admin-api-group"
"""Group of the admin API's route: keys authorised for it may use it. Source: ``backOfficeGroupId``."""

APIKEYS: Final = "apikeys"

MARK_KIND: Final = "oto-trio"
"""Kind under which gateways remember things of their own; no path of the admin API leads there."""

_MARK: Final = "installation-key-"
_ONLY: Final = "only"
"""Stands for the name of a gateway that has its store alone."""


class _Mark(msgspec.Struct, frozen=True, rename="camel"):
    """Which key a gateway put into the store."""

    client_id: str
    digest: str
    """SHA-256 of its secret: tells the key from one that was given another secret since."""


async def installation_key_writes(
    store: Store, credentials: AdminCredentials, node: str = "", *, is_wanted: bool = True
) -> list[Write]:
    """Return what makes the store hold the key of this start, and no superseded one of this gateway.

    The key gets the secret of the credentials, unless a vault or its rotation gives it one. What an earlier
    start of this gateway put there under another id is deleted, unless it was given another secret since, or
    another gateway on the same store uses it. The well-known key of ``--dev`` with its well-known secret
    is deleted wherever it comes from, unless these credentials are it.

    Args:
        store: Where the keys are; it is only read.
        credentials: The admin API's key of this start.
        node: Tells this gateway from others on the same store; empty when there are no others.
        is_wanted: Whether the key is made where there is none.

    Returns:
        Writes that expect what was read; none when nothing is to be changed.

    Raises:
        StoreError: The store cannot be read.
    """
    writes: list[Write] = []
    own = await store.get(APIKEYS, credentials.client_id)
    own_text = own.document if own is not None else None
    if own is not None:
        changed = _with_secret(own.document, credentials.client_secret)
        if changed is not None:
            writes.append(Put(APIKEYS, own.id, changed, expect=own.revision))
            own_text = changed
    elif is_wanted:
        own_text = encode_document(_first_key(credentials))
        writes.append(Put(APIKEYS, credentials.client_id, own_text, expect="absent"))

    mine = f"{_MARK}{node or _ONLY}"
    marks = {r.id: r async for r in store.walk(MARK_KIND, after=_MARK) if r.id.startswith(_MARK)}
    before = _read_mark(marks.get(mine))
    superseded = {DEV_CREDENTIALS.client_id: _mark_of(DEV_CREDENTIALS)}
    if before is not None and _is_ours_alone(before, mine, marks.values() if node else ()):
        superseded[before.client_id] = before
    superseded.pop(credentials.client_id, None)
    for old in superseded.values():
        record = await store.get(APIKEYS, old.client_id)
        if record is not None and _has_secret(record.document, old.digest):
            writes.append(Delete(APIKEYS, old.client_id, expect=record.revision))
            logger.warning("the superseded admin key %s is taken out of the store", old.client_id)

    now = _mark_of(credentials)
    is_mine = own_text is not None and _has_secret(own_text, now.digest)
    if is_mine and now != before:
        writes.append(Put(MARK_KIND, mine, msgspec.json.encode(now)))
    elif not is_mine and mine in marks and (before is None or before.client_id != now.client_id):
        writes.append(Delete(MARK_KIND, mine))
    return writes


def _first_key(credentials: AdminCredentials) -> ApiKey:
    """Make the API key of the installation as Otoroshi makes it."""
    return ApiKey(
        client_id=credentials.client_id,
        client_secret=credentials.client_secret,
        client_name="Otoroshi Backoffice ApiKey",
        description="The API key of the installation; its secret is that of the settings.",
        authorizations=(Authorization(kind="group", id=ADMIN_GROUP),),
        throttling_quota=10_000,
    )


def _with_secret(document: bytes, secret: str) -> bytes | None:
    """Put a secret into a stored key; None when it has it, or gets it from elsewhere."""
    key: dict[str, Any] = msgspec.json.decode(document)
    stored: object = key.get("clientSecret")
    rotation: object = key.get("rotation")
    is_rotating = isinstance(rotation, dict) and (
        cast("dict[str, Any]", rotation).get("enabled") is True
    )
    # A rotation that has not begun leaves the secret that everybody knows in force.
    if is_rotating and stored != DEV_CREDENTIALS.client_secret:
        return None
    if stored == secret or (isinstance(stored, str) and "${vault://" in stored):
        return None
    return msgspec.json.encode({**key, "clientSecret": secret})


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _mark_of(credentials: AdminCredentials) -> _Mark:
    return _Mark(credentials.client_id, _digest(credentials.client_secret))


def _read_mark(record: Record | None) -> _Mark | None:
    """Read what is remembered; None when there is nothing that can be read."""
    if record is None:
        return None
    try:
        return msgspec.json.decode(record.document, type=_Mark)
    except (msgspec.DecodeError, msgspec.ValidationError):
        logger.error("%s in the store cannot be read and is made anew", record.id)
        return None


def _is_ours_alone(key: _Mark, mine: str, marks: Iterable[Record]) -> bool:
    """Tell whether no other gateway put the same key there; a store had alone was copied since."""
    others = (r for r in marks if r.id not in (mine, f"{_MARK}{_ONLY}"))
    return not any((mark := _read_mark(r)) and mark.client_id == key.client_id for r in others)


def _has_secret(document: bytes, digest: str) -> bool:
    """Tell whether a stored key has the secret of a digest."""
    try:
        key: object = msgspec.json.decode(document)
    except msgspec.DecodeError:
        return False
    secret: object = cast("dict[str, Any]", key).get("clientSecret") if isinstance(key, dict) else 0
    return isinstance(secret, str) and hmac.compare_digest(_digest(secret), digest)
