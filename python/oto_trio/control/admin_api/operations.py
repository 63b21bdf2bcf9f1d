"""Reading and writing entities of any resource: what both dialects of the API have in common.

A write goes: read the document → check it against the gateway (would it compile?) → put it in the store,
expecting the revision that was read before → when asked, wait until every worker serves it. Two writers
of one entity never overwrite each other unseen: the later one starts over from what it finds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

import msgspec

from oto_trio.control.admin_api.preconditions import NO_PRECONDITIONS, digest_of
from oto_trio.control.admin_api.reading import inspect_entity
from oto_trio.control.admin_api.refusals import ApiError, refused_entity
from oto_trio.control.admin_api.resources import GLOBAL_CONFIGS
from oto_trio.control.admin_api.rights import (
    current_caller,
    denied,
    global_config_of,
    required_caller,
    writable,
)
from oto_trio.control.admin_api.scanning import scanner
from oto_trio.control.store import Delete
from oto_trio.model.document import encode_document, inspect_document, write_document
from oto_trio.model.errors import ConflictError, Problem
from oto_trio.model.ids import id_problem, named_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from oto_trio.control.admin_api.gateway_control import GatewayControl
    from oto_trio.control.admin_api.listing import ListQuery
    from oto_trio.control.admin_api.preconditions import Preconditions
    from oto_trio.control.admin_api.resources import Resource
    from oto_trio.control.store import Expectation, Record, Store
    from oto_trio.model.document import Document, JsonObject

__all__ = [
    "MOST_ATTEMPTS",
    "Entities",
    "Found",
    "Listed",
    "Written",
    "merge_documents",
    "stamp",
    "store_id",
]

WALK_PAGE: Final = 100
"""Records read at once from the store: a few milliseconds' work, so that others are not held up."""

SCAN_PAGE: Final = 2000
"""Records read at once where each is only looked at: a few milliseconds' work too."""

MOST_ATTEMPTS: Final = 8
"""How often a write starts over when others write the same entity at the same time."""


class Written(msgspec.Struct, frozen=True):
    """What became of a write."""

    document: dict[str, Any]
    revision: int
    is_new: bool
    """Whether there was no such entity before."""
    is_unchanged: bool
    """Whether the body said what was stored already."""
    warnings: tuple[Problem, ...]
    """Keys that were read otherwise than they were written."""
    digest: int
    """`digest_of` the entity as a reader gets it."""


class Found(NamedTuple):
    """An entity that was read."""

    document: JsonObject
    """It as it is answered."""
    revision: int
    """Revision of the transaction that last wrote it."""


class Listed(NamedTuple):
    """One page of a list."""

    documents: ListedDocuments
    total: int
    """Entities on all pages."""


class ListedDocuments:
    """The documents of a page, read from the store as they are asked for."""

    def __init__(
        self,
        entities: Entities,
        resource: Resource,
        records: AsyncIterator[Record],
        query: ListQuery,
        skip: int | None = None,
    ) -> None:
        self._entities = entities
        self._resource = resource
        self._records = records
        self._query = query
        self._skip = query.offset if skip is None else skip
        self._left = query.page_size

    def __aiter__(self) -> Self:
        """Give the iterator itself."""
        return self

    async def __anext__(self) -> JsonObject:
        """Give the next document. Cancellation: a checkpoint when the store is read."""
        while self._skip > 0:
            await anext(self._records)
            self._skip -= 1
        if self._left <= 0:
            raise StopAsyncIteration
        self._left -= 1
        record = await anext(self._records)
        return self._query.project(await self._entities.document_of(self._resource, record))


class _FoundRecords:
    """Records that were found, as an async iterator."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = iter(records)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        record = next(self._records, None)
        if record is None:
            raise StopAsyncIteration
        return record


def merge_documents(base: JsonObject, over: JsonObject) -> JsonObject:
    """Lay one document over another, object by object; anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            inner = cast("JsonObject", value)
            merged[key] = merge_documents(cast("JsonObject", below), inner)
        else:
            merged[key] = value
    return merged


def store_id(resource: Resource, entity_id: str) -> str:
    """Give the id under which the store has an entity, from the one that a client wrote."""
    if resource.only_id is not None:
        return resource.only_id
    return entity_id if resource.canonical_id is None else resource.canonical_id(entity_id)


class Entities:
    """Entities of every resource, in a store, checked by a gateway.

    Args:
        store: Where they are kept.
        gateway: What serves them.
        env: Name of the environment, part of new ids unless it is ``prod``.
        adorned: Whether documents are answered with what only the generic dialect adds.
    """

    def __init__(
        self, store: Store, gateway: GatewayControl, *, env: str, adorned: bool = False
    ) -> None:
        self.store = store
        self.gateway = gateway
        self.env = env
        self._adorned = adorned

    def _decode(self, record: Record) -> JsonObject:
        """Read a stored document."""
        document: JsonObject = msgspec.json.decode(record.document)
        return document

    def _as_read(self, resource: Resource, document: JsonObject) -> JsonObject:
        """Make a document as it reads now, in this dialect."""
        if resource.shown is not None:
            document = resource.shown(document)
        if self._adorned and resource.adorned is not None:
            document = resource.adorned(document)
        return document

    async def _shown(self, resource: Resource, document: JsonObject) -> JsonObject:
        """Make a stored document as it is answered: a route shows the backend it refers to."""
        document = self._as_read(resource, document)
        ref = document.get("backend_ref")
        if resource.store_kind != "routes" or not isinstance(ref, str) or id_problem(ref):
            return document
        try:
            backend = await self.store.get("backends", ref)
        except ApiError:  # it belongs to somebody else: the caller may see the reference only
            return document
        if backend is None:
            return document
        return {**document, "backend": self._decode(backend)["backend"]}

    async def document_of(self, resource: Resource, record: Record) -> JsonObject:
        """Make a stored record as it is answered."""
        return await self._shown(resource, self._decode(record))

    async def get(self, resource: Resource, entity_id: str) -> JsonObject | None:
        """Read an entity as it is answered; None when there is none."""
        found = await self.find(resource, entity_id)
        return None if found is None else found.document

    async def find(self, resource: Resource, entity_id: str) -> Found | None:
        """Read an entity as it is answered, with its revision; None when there is none."""
        record = await self.store.get(resource.store_kind, store_id(resource, entity_id))
        if record is None:
            return None
        return Found(await self.document_of(resource, record), record.revision)

    async def count(self, resource: Resource) -> int:
        """Count the entities of a resource."""
        return await self.store.count(resource.store_kind)

    async def list(self, resource: Resource, query: ListQuery) -> Listed:
        """Read a page of a list. Documents are read when they are asked for, records kept as text."""
        if not query.needs_all:
            return await self._page(resource, query)
        found: list[tuple[tuple[object, ...], Record]] = []
        if self._is_shown_otherwise(resource, query.keys):
            async for record in self.store.walk(resource.store_kind, page=WALK_PAGE):
                document = await self.document_of(resource, record)
                if query.matches(document):
                    found.append((query.keys_of(document), record))
        else:
            # Most of what is looked at is not answered: only the keys that are asked for are decoded.
            scan, last = scanner(query), ""
            while page := await self.store.list(resource.store_kind, after=last, limit=SCAN_PAGE):
                for record in page:
                    keys = scan(record.document)
                    if keys is not None:
                        found.append((keys, record))
                last = page[-1].id
        query.sort(found)
        records = _FoundRecords(record for _, record in found)
        return Listed(ListedDocuments(self, resource, records, query), len(found))

    async def _page(self, resource: Resource, query: ListQuery) -> Listed:
        """Read a page of the whole list; what comes before it is not read."""
        kind = resource.store_kind
        count = await self.count(resource)
        before: str | None = ""
        if query.offset:
            before = await self.store.id_at(kind, query.offset - 1)
        if before is None:
            return Listed(ListedDocuments(self, resource, _FoundRecords(()), query), count)
        walk = self.store.walk(kind, page=min(query.page_size, WALK_PAGE), after=before)
        return Listed(ListedDocuments(self, resource, walk, query, skip=0), count)

    def _is_shown_otherwise(self, resource: Resource, keys: frozenset[str]) -> bool:
        """Tell whether documents may be answered with other values under some keys than they are stored with."""
        return (
            resource.shown is not None
            or (self._adorned and resource.adorned is not None)
            or (resource.store_kind == "routes" and "backend" in keys)
        )

    async def starting_with(
        self, resource: Resource, prefix: str, query: ListQuery
    ) -> ListedDocuments:
        """Read the page of the entities whose id starts with a text. Records are kept as text."""
        walk = self.store.walk(resource.store_kind, page=WALK_PAGE)
        found = [record async for record in walk if record.id.startswith(prefix)]
        return ListedDocuments(self, resource, _FoundRecords(found), query)

    async def template(
        self, resource: Resource, *, is_legacy: bool = False, kind: str | None = None
    ) -> JsonObject:
        """Make the template: the built-in one under what the global configuration lays over it.

        Args:
            resource: Its row.
            is_legacy: Whether it is for the legacy dialect, which has another one of some kinds.
            kind: Type of the entity, for resources that have one template for each.

        Raises:
            ApiError: The resource has none.
        """
        make = resource.template
        if is_legacy and resource.legacy_template is not None:
            make = resource.legacy_template
        if make is None:
            raise ApiError(404, "template not found !", "")
        if resource.typed_template is not None and kind is not None:
            document = write_document(resource.typed_template(kind, self.env))
        else:
            document = write_document(make(self.env))
        caller = current_caller()
        if caller is not None and "_loc" in document:
            document = {**document, "_loc": caller.own_place()}
        record = await global_config_of(self.store)
        if record is not None and resource.template_key:
            templates: JsonObject = self._decode(record).get("templates") or {}
            over: object = templates.get(resource.template_key)
            if isinstance(over, dict):
                document = merge_documents(document, cast("JsonObject", over))
        return document

    def new_id(self, resource: Resource) -> str:
        """Make an id for a new entity."""
        if resource.new_id is not None:
            return resource.new_id()
        return named_id(resource.singular, env=self.env)

    def _placed(self, resource: Resource, document: JsonObject) -> JsonObject:
        """Put a new entity that does not say where it belongs where its maker may write.

        Otoroshi puts it into the tenant ``default``, where whoever has rights elsewhere may not; so does
        this for who has no bounds.
        """
        caller = current_caller()
        has_place = any(f.encode_name == "_loc" for f in msgspec.structs.fields(resource.cls))
        if caller is None or caller.is_super_admin or not has_place or "_loc" in document:
            return document
        return {**document, "_loc": caller.own_place()}

    async def _read(
        self,
        resource: Resource,
        document: JsonObject,
        *,
        strict: bool,
        enriched: bool,
        old: JsonObject | None = None,
    ) -> tuple[Document, tuple[Problem, ...]]:
        """Read and check a document that replaces an old one, if there is one.

        Raises:
            ApiError: It cannot be read or served; every problem is named.
        """
        entity, problems = await inspect_entity(
            resource, document, self.gateway.check, enriched=enriched, strict=strict, old=old
        )
        if entity is None:
            raise refused_entity([p for p in problems if strict or p.severity == "error"])
        return entity, tuple(problems)

    async def create(
        self,
        resource: Resource,
        document: JsonObject,
        *,
        stamped: bool,
        strict: bool = False,
        enriched: bool = True,
    ) -> Written:
        """Store a new entity; it gets an id when it has none.

        Args:
            resource: Its row.
            document: Its document.
            stamped: Whether ``metadata.created_at`` is set.
            strict: Whether warnings refuse it too.
            enriched: Whether what can be read from other keys is computed (`Resource.enriched`).

        Raises:
            ApiError: The document is refused.
            ConflictError: There is such an entity.
        """
        await self.check_writable(resource)
        if document.get(resource.id_key) in (None, ""):
            document = {**document, resource.id_key: self.new_id(resource)}
        document = self._placed(resource, document)
        entity, warnings = await self._read(resource, document, strict=strict, enriched=enriched)
        if resource.admitted is not None:
            await resource.admitted(self.store, None, entity)
        if stamped:
            entity = stamp(entity, "created_at")
        entity_id = cast("Any", entity).id
        revision = await self.store.put(
            resource.store_kind, entity_id, encode_document(entity), expect="absent"
        )
        written = write_document(entity)
        return Written(
            document=self._as_read(resource, written),
            revision=revision,
            is_new=True,
            is_unchanged=False,
            warnings=warnings,
            digest=digest_of(await self._shown(resource, written)),
        )

    async def change(
        self,
        resource: Resource,
        entity_id: str,
        make: Callable[[JsonObject | None], JsonObject],
        *,
        stamped: bool,
        strict: bool = False,
        enriched: bool = True,
        conditions: Preconditions = NO_PRECONDITIONS,
    ) -> Written:
        """Store an entity made from what is stored under its id.

        Args:
            resource: Its row.
            entity_id: Its id; the document's own is overwritten by it.
            make: Gets the stored document as it is answered, or None, and gives the new one. Called
                again when the entity changed meanwhile. May raise to refuse.
            stamped: Whether ``metadata.updated_at`` is set.
            strict: Whether warnings refuse it too.
            enriched: Whether what can be read from other keys is computed (`Resource.enriched`).
            conditions: What must hold of the entity that the write replaces.

        Raises:
            ApiError: The document is refused, or others keep changing it, or a condition does not hold.
        """
        await self.check_writable(resource)
        stored_id = store_id(resource, entity_id)
        for _ in range(MOST_ATTEMPTS):
            known = None if id_problem(stored_id) else stored_id
            record = await self.store.get(resource.store_kind, known) if known else None
            old = None if record is None else self._decode(record)
            shown = None if old is None else await self._shown(resource, old)
            document = make(shown)
            if resource.only_id is None:
                document = {**document, resource.id_key: entity_id}
            if old is None:
                document = self._placed(resource, document)
            entity, warnings = await self._read(
                resource, document, strict=strict, enriched=enriched, old=old
            )
            was = None if old is None else inspect_document(resource.cls, old)[0]
            unchanged = was is not None and was == entity
            if resource.admitted is not None:
                await resource.admitted(self.store, was, entity)
            # What holds here holds in the transaction too, which expects the same revision.
            conditions.check_write(None if record is None else record.revision)
            if stamped:
                entity = stamp(entity, "updated_at")
            expect: Expectation = "absent" if record is None else record.revision
            try:
                revision = await self.store.put(
                    resource.store_kind, stored_id, encode_document(entity), expect=expect
                )
            except ConflictError:
                continue
            written = write_document(entity)
            return Written(
                document=self._as_read(resource, written),
                revision=revision,
                is_new=old is None,
                is_unchanged=unchanged,
                warnings=warnings,
                digest=digest_of(await self._shown(resource, written)),
            )
        raise ApiError(409, "conflict", "others keep changing this entity; try again")

    async def delete(
        self,
        resource: Resource,
        entity_id: str,
        *,
        conditions: Preconditions = NO_PRECONDITIONS,
    ) -> tuple[JsonObject, int] | None:
        """Remove an entity.

        Args:
            resource: Its row.
            entity_id: Its id.
            conditions: What must hold of it.

        Returns:
            (its last document, revision), or None when there was none.

        Raises:
            ApiError: Others keep changing it, or a condition does not hold.
        """
        await self.check_writable(resource)
        if id_problem(entity_id):
            return None
        entity_id = store_id(resource, entity_id)
        for _ in range(MOST_ATTEMPTS):
            record = await self.store.get(resource.store_kind, entity_id)
            if record is None:
                return None
            conditions.check_write(record.revision)
            try:
                revision = await self.store.delete(
                    resource.store_kind, entity_id, expect=record.revision
                )
            except ConflictError:
                continue
            return self._as_read(resource, self._decode(record)), revision
        raise ApiError(409, "conflict", "others keep changing this entity; try again")

    async def delete_all(self, resource: Resource) -> int:
        """Remove every entity of a resource that the caller may write, at once.

        Returns:
            The revision.
        """
        await self.check_writable(resource)
        snapshot = await self.store.snapshot([resource.store_kind])
        records = writable(self.store, snapshot.records)
        return await self.store.transact([Delete(r.kind, r.id) for r in records])

    async def require_write(self, resource: Resource, entity_id: str) -> None:
        """Refuse what changes something about an entity beside its document, to who may not write it.

        Raises:
            ApiError: The caller may not, or the API is read-only.
        """
        await self.check_writable(resource)
        record = await self.store.get(resource.store_kind, store_id(resource, entity_id))
        if record is not None and not writable(self.store, [record]):
            raise denied(required_caller())

    async def check_writable(self, resource: Resource | None = None) -> None:
        """Refuse writes while ``apiReadOnly`` is set, but those that can end that state.

        Args:
            resource: What is to be written; None = anything but the global configuration.

        Raises:
            ApiError: The API is read-only.
        """
        record = await global_config_of(self.store)
        if record is None or resource is GLOBAL_CONFIGS:
            return
        if self._decode(record).get("apiReadOnly") is True:
            raise ApiError(
                401,
                "You're not authorized: the admin API is read-only",
                "set apiReadOnly to false in the global configuration first",
            )


def stamp(entity: Document, key: str) -> Document:
    """Set one of the automatic dates in an entity's metadata."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    metadata = {**cast("Any", entity).metadata, key: now}
    return msgspec.structs.replace(entity, metadata=metadata)
