"""The installation's API key in the store: brought at a start, taken out when another one takes its place.

A key that is authorised for the admin API and has no rights in its metadata may do everything. So the one that
a start put into the store must not stay there when the next start has other credentials: it was superseded
because it leaked, or it is the well-known one of ``--dev``. Which key a gateway put there is remembered in the
store, by gateway: several of them on one store keep each other's.

A gateway on a shared store holds a lease, which it renews for as long as it runs. One whose lease has ended is gone:
what it put there keeps no key alive any more, and the next start of any other takes its key out, unless a gateway
that is there uses it. One that comes back brings its key again. Those of a version without leases count as there.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.store.base import Blob, Delete, Put
from oto_trio.model.api_key import ApiKey, Authorization
from oto_trio.model.document import encode_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from oto_trio.control.credentials import AdminCredentials
    from oto_trio.control.store.base import Record, Store, Write

__all__ = ["ADMIN_GROUP", "LEASE_S", "hold_lease", "installation_key_writes"]

logger = logging.getLogger(__name__)

ADMIN_GROUP: Final = "admin-api-group"
"""Group of the admin API's route: keys authorised for it may use it. Source: ``backOfficeGroupId``."""

APIKEYS: Final = "apikeys"

MARK_KIND: Final = "oto-trio"
"""Kind under which gateways remember things of their own; no path of the admin API leads there."""

LEASE_S: Final = 7 * 86_400.0
"""Seconds after which a gateway that renewed its lease no more counts as gone for good."""

_LEASE: Final = "installation-key-lease:"
"""What the name of a lease begins with; the gateway's follows."""

_MARK: Final = "installation-key-"
_ONLY: Final = "only"
"""Stands for the name of a gateway that has its store alone."""


class _Mark(msgspec.Struct, frozen=True, rename="camel"):
    """Which key a gateway put into the store."""

    client_id: str
    digest: str
    """SHA-256 of its secret: tells the key from one that was given another secret since."""
    leased: bool = False
    """Whether the gateway holds a lease while it is there."""


async def hold_lease(store: Store, node: str) -> None:
    """Say that a gateway is there, for the next `LEASE_S` seconds. It makes no revision.

    Args:
        store: The shared store.
        node: Tells this gateway from others on it.

    Raises:
        StoreError: The store cannot be written.
    """
    await store.save_blobs(
        [Blob(f"{_LEASE}{node}", b"1", expires_at=datetime.now(UTC).timestamp() + LEASE_S)]
    )


async def installation_key_writes(
    store: Store, credentials: AdminCredentials, node: str = "", *, is_wanted: bool = True
) -> list[Write]:
    """Return what makes the store hold the key of this start, and no superseded one of this gateway.

    The key gets the secret of the credentials, unless a vault or its rotation gives it one. What an earlier
    start of this gateway put there under another id is deleted, unless it was given another secret since, or
    another gateway on the same store uses it. So is what gateways put there that are gone. The well-known key of ``--dev`` with its well-known secret
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
    gone = await _gone(store, marks, mine) if node else {}
    there = [record for name, record in marks.items() if node and name not in gone]
    writes += [Delete(MARK_KIND, name, expect=marks[name].revision) for name in gone]
    for old in _superseded((before, *gone.values()), mine, there, credentials):
        record = await store.get(APIKEYS, old.client_id)
        if record is not None and _has_secret(record.document, old.digest):
            writes.append(Delete(APIKEYS, old.client_id, expect=record.revision))
            logger.warning("the superseded admin key %s is taken out of the store", old.client_id)

    now = msgspec.structs.replace(_mark_of(credentials), leased=bool(node))
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


async def _gone(store: Store, marks: Mapping[str, Record], mine: str) -> dict[str, _Mark]:
    """Return what other gateways put there whose lease has ended, by the ids of their marks."""
    leases = {blob.name.removeprefix(_LEASE) for blob in await store.load_blobs(_LEASE)}
    gone: dict[str, _Mark] = {}
    for name, record in marks.items():
        if name in {mine, f"{_MARK}{_ONLY}"} or name.removeprefix(_MARK) in leases:
            continue
        mark = _read_mark(record)
        if mark is not None and mark.leased:
            gone[name] = mark
    return gone


def _superseded(
    olds: Iterable[_Mark | None], mine: str, there: Sequence[Record], now: AdminCredentials
) -> set[_Mark]:
    """Return the keys that no gateway uses any more: some of these, and the well-known one."""
    unused = {_mark_of(DEV_CREDENTIALS)} | {
        _Mark(old.client_id, old.digest)
        for old in olds
        if old is not None and _is_ours_alone(old, mine, there)
    }
    return {key for key in unused if key.client_id != now.client_id}


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
