"""The store as the caller of a request may see and change it: the one way to entities for every endpoint.

    endpoint ── Entities ── ScopedStore ── AuditedStore ── the store
                             │ who asks? may they?

A read of what the caller may not see is refused, a list leaves it out. A write is refused unless the caller
may write both what is stored and what is to be stored; so nothing is moved out of a tenant, or into one, by
somebody who has rights in one of them only. Nobody but a super admin writes what would take the admin API's own
requests (`admin_traffic`). What was checked is what is written: the revision that was
looked at is expected by the write.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

import msgspec
import trio
from typing_extensions import override

from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.resources import GLOBAL_CONFIGS
from oto_trio.control.admin_api.rights.admin_traffic import ROUTED_KINDS, own_hosts, taken_domain
from oto_trio.control.admin_api.rights.caller import denied, required_caller
from oto_trio.control.admin_api.rights.locations import ADMINISTRATORS, keeps_validators
from oto_trio.control.admin_route import ADMIN_ROUTE
from oto_trio.control.store.base import LIST_PAGE, Put, Snapshot, Store
from oto_trio.control.store.history import REVISIONS_PAGE
from oto_trio.gateway.installer import ROUTES
from oto_trio.model.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from oto_trio.control.admin_api.rights.caller import Caller
    from oto_trio.control.store.base import Blob, Expectation, Record, Seen, Write
    from oto_trio.control.store.feed import Feed
    from oto_trio.control.store.history import Difference, Revision, Sought
    from oto_trio.control.store.tallies import Tally

__all__ = ["ScopedStore", "check_writes", "global_config_of", "writable"]

_FREER: Final = (
    "entity validators bind you: an administrator that you write must have the same "
    "adminEntityValidators, and you cannot write API keys of the admin API, which have none"
)

MOST_ATTEMPTS: Final = 8
"""How often a write starts over when others write the same entities at the same time."""


class ScopedStore(Store):
    """A store through which everybody sees and changes only what they may.

    Callers with all rights pass straight through, at no cost. Others pay for looking at the place of
    each document: some 2 µs each.

    Args:
        store: The store. It stays open when this is closed.
        inspect: Says why a caller may not write a document, although its place is theirs: the validators.
        admin_names: Host names under which the gateway serves the admin API; those of its stored route
            count too.
    """

    def __init__(
        self,
        store: Store,
        inspect: Callable[[Caller, Put], ApiError | None] | None = None,
        admin_names: Sequence[str] = (),
    ) -> None:
        # The feeds are the inner store's: this one has no hub of its own.
        self._inner = store
        self.is_shared = store.is_shared
        self._inspect = inspect
        self._admin_names = tuple(admin_names)

    @property
    @override
    def name(self) -> str:
        return self._inner.name

    @property
    @override
    def revision(self) -> int:
        return self._inner.revision

    async def global_config(self) -> Record | None:
        """Read the global configuration for the API's own use, whoever asks: none of it may be answered."""
        return await self._inner.get(GLOBAL_CONFIGS.store_kind, GLOBAL_CONFIGS.only_id or "")

    @override
    async def get(self, kind: str, entity_id: str) -> Record | None:
        caller = required_caller()
        record = await self._inner.get(kind, entity_id)
        if record is not None and not _may_read(caller, record):
            raise denied(caller)
        return record

    @override
    async def list(self, kind: str, *, after: str = "", limit: int = LIST_PAGE) -> Sequence[Record]:
        caller = required_caller()
        if caller.is_super_admin:
            return await self._inner.list(kind, after=after, limit=limit)
        found: list[Record] = []
        while len(found) < limit:
            page = await self._inner.list(kind, after=after, limit=limit)
            found += (record for record in page if _may_read(caller, record))
            if len(page) < limit:
                break
            after = page[-1].id
        return found[:limit]

    @override
    async def count(self, kind: str) -> int:
        caller = required_caller()
        if caller.is_super_admin:
            return await self._inner.count(kind)
        count = 0
        async for _ in self.walk(kind):
            count += 1
        return count

    @override
    async def id_at(self, kind: str, place: int) -> str | None:
        if required_caller().is_super_admin:
            return await self._inner.id_at(kind, place)
        return await super().id_at(kind, place)  # counts what `list` shows the caller

    @override
    async def snapshot(self, kinds: Sequence[str]) -> Snapshot:
        caller = required_caller()
        whole = await self._inner.snapshot(kinds)
        if caller.is_super_admin:
            return whole
        return Snapshot(whole.revision, tuple(r for r in whole.records if _may_read(caller, r)))

    @override
    async def transact(
        self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
    ) -> int:
        caller = required_caller()
        self._validate(caller, writes)
        if caller.is_super_admin:
            return await self._inner.transact(writes, at=at, seen=seen)
        for one in seen:
            await self.get(one.kind, one.id)  # refused when the caller may not read it
        await self._keep_admin_traffic(caller, writes)
        for attempt in range(MOST_ATTEMPTS):
            checked = [await self._checked(caller, write) for write in writes]
            try:
                return await self._inner.transact(checked, at=at, seen=seen)
            except ConflictError as error:
                about = (error.kind, error.entity_id)
                mine = next((w for w in writes if (w.kind, w.id) == about), None)
                # Only what was added here may be tried again; the caller's own expectation may not.
                is_own = mine is not None and mine.expect in (None, "present")
                if not is_own or attempt + 1 == MOST_ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def check(self, writes: Sequence[Write]) -> None:
        """Refuse what `transact` would refuse the caller, and write nothing.

        Raises:
            ApiError: The caller may not make one of the writes.
        """
        caller = required_caller()
        self._validate(caller, writes)
        if caller.is_super_admin:
            return
        await self._keep_admin_traffic(caller, writes)
        for write in writes:
            await self._checked(caller, write)

    def _validate(self, caller: Caller, writes: Iterable[Write]) -> None:
        """Refuse documents that the validators of the caller refuse, or that would be a way around them."""
        if not caller.is_user:
            return
        for write in writes:
            if not isinstance(write, Put):
                continue
            if not keeps_validators(write.kind, write.document, caller.validators):
                raise ApiError(403, "forbidden", _FREER)
            refusal = None if self._inspect is None else self._inspect(caller, write)
            if refusal is not None:
                raise refusal

    async def _keep_admin_traffic(self, caller: Caller, writes: Iterable[Write]) -> None:
        """Refuse documents that could take the requests of the admin API."""
        routed = [w for w in writes if isinstance(w, Put) and w.kind in ROUTED_KINDS]
        if not routed:
            return
        route = await self._inner.get(ROUTES, ADMIN_ROUTE)
        names = (*self._admin_names, *(own_hosts(route.document) if route is not None else ()))
        for write in routed:
            await trio.lowlevel.checkpoint()  # there may be thousands
            domain = taken_domain(write.kind, write.document, names)
            if domain is not None:
                what = (
                    f"the domain {domain[:200]!r} matches a host of the admin API"
                    if domain
                    else "its domains cannot be read"
                )
                raise denied(caller, f"{write.id}: {what}; only a super admin may write it")

    async def _checked(self, caller: Caller, write: Write) -> Write:
        """Check one write, and tie it to what it was checked against.

        Raises:
            ApiError: The caller may not write what is stored, or what is to be stored.
        """
        # On every path, not only on those that have a gate of their own.
        if write.kind in ADMINISTRATORS and not caller.is_tenant_admin:
            raise denied(caller)
        if isinstance(write, Put) and not caller.may("w", write.kind, write.id, write.document):
            raise denied(caller)
        record = await self._inner.get(write.kind, write.id)
        if record is None:
            found: Expectation = "absent"
        elif write.expect == "absent":
            return write  # a conflict; what is there stays, and is not told
        elif not caller.may("w", record.kind, record.id, record.document):
            raise denied(caller)
        else:
            found = record.revision
        if write.expect in (None, "present") and not (write.expect and record is None):
            return msgspec.structs.replace(write, expect=found)
        return write

    @override
    async def revisions(
        self, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        _require_all()
        return await self._inner.revisions(before=before, limit=limit)

    @override
    async def find_revisions(
        self, sought: Sought, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        _require_all()
        return await self._inner.find_revisions(sought, before=before, limit=limit)

    @override
    async def difference(self, since: int, until: int | None = None) -> Difference:
        _require_all()
        return await self._inner.difference(since, until)

    @override
    async def load_blobs(self, prefix: str) -> Sequence[Blob]:
        _require_all()
        return await self._inner.load_blobs(prefix)

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        _require_all()
        await self._inner.save_blobs(blobs)

    @override
    async def tally(
        self, told: Sequence[Tally], asked: Sequence[str] = (), *, now: float
    ) -> Mapping[str, Mapping[str, int]]:
        _require_all()
        return await self._inner.tally(told, asked, now=now)

    @override
    async def aclose(self) -> None:
        """Refuse to be closed: the store is the gateway's."""
        raise NotImplementedError("a scoped store is not closed; close the store behind it")

    @override
    @contextmanager
    def watch(self) -> Generator[Feed]:
        _require_all()
        with self._inner.watch() as feed:
            yield feed


def _may_read(caller: Caller, record: Record) -> bool:
    return caller.may("r", record.kind, record.id, record.document)


def _require_all() -> None:
    """Refuse what cannot be cut to a caller's rights to everybody who has not all of them."""
    caller = required_caller()
    if not caller.is_super_admin:
        raise denied(caller)


def writable(store: Store, records: Iterable[Record]) -> list[Record]:
    """Keep the records that the caller may write; of a store without scope, all."""
    if not isinstance(store, ScopedStore):
        return list(records)
    caller = required_caller()
    return [r for r in records if caller.may("w", r.kind, r.id, r.document)]


async def check_writes(store: Store, writes: Sequence[Write]) -> None:
    """Refuse writes that the caller may not make, and make none; a store without scope takes all.

    Raises:
        ApiError: As `Store.transact` would.
    """
    if isinstance(store, ScopedStore):
        await store.check(writes)


async def global_config_of(store: Store) -> Record | None:
    """Read the global configuration for the API's own use; none of it may be answered."""
    if isinstance(store, ScopedStore):
        return await store.global_config()
    return await store.get(GLOBAL_CONFIGS.store_kind, cast("str", GLOBAL_CONFIGS.only_id))
