"""Audit events and alerts of what is written through the admin API.

    request ── actor noted ── endpoint ── store ── write made ── audit event, alert

The events are raised where the store is written, so that no path of the API can write without one. A
write that was refused, or did not happen, has none.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from typing_extensions import override

from oto_trio.control.admin_api.resources import API_KEYS, CERTIFICATES, LEGACY_RESOURCES
from oto_trio.control.admin_api.rights import current_caller
from oto_trio.control.store.base import LIST_PAGE, Put, Store
from oto_trio.control.store.history import REVISIONS_PAGE, Origin, acting
from oto_trio.gateway.installer import GLOBAL_CONFIG
from oto_trio.telemetry.events.admin_writes import changed_keys, shown_document

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from oto_trio._core import Redaction
    from oto_trio.control.store.base import Blob, Record, Seen, Snapshot, Write
    from oto_trio.control.store.feed import Feed
    from oto_trio.control.store.history import Difference, Revision, Sought
    from oto_trio.control.store.tallies import Tally
    from oto_trio.telemetry.events.audit import Audit
    from oto_trio.telemetry.events.identity import Event
    from oto_trio.telemetry.events.recent import RecentEvents

__all__ = ["Actor", "AuditActor", "AuditTrail", "AuditedStore"]

_RESOURCES: Final = {resource.store_kind: resource for resource in LEGACY_RESOURCES}

_ALERTS: Final = {
    (API_KEYS.store_kind, "CREATE"): "ApiKeyCreatedAlert",
    (API_KEYS.store_kind, "UPDATE"): "ApiKeyUpdatedAlert",
    (API_KEYS.store_kind, "DELETE"): "ApiKeyDeletedAlert",
    (CERTIFICATES.store_kind, "CREATE"): "CertCreatedAlert",
    (CERTIFICATES.store_kind, "UPDATE"): "CertUpdatedAlert",
    (CERTIFICATES.store_kind, "DELETE"): "CertDeleteAlert",
    (GLOBAL_CONFIG, "UPDATE"): "GlobalConfigModification",
}
"""Alerts beside the audit event of a write. Source: Otoroshi, `CertDeleteAlert` with its spelling too."""

TOLD_AT_ONCE: Final = 50
"""Writes of one transaction that are told before other tasks get a turn: some milliseconds' work."""

MOST_READ_ALONE: Final = 100
"""Writes of one transaction whose documents are read one by one; for more, their kinds are read whole."""

_WORDS: Final = {"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted"}


class Actor(msgspec.Struct, frozen=True):
    """Who asked, and by which request."""

    client_id: str
    """Client id of the API key that was accepted; empty when there is none."""
    name: str
    """Name of the user for whom it asks; empty for a plain key."""
    email: str
    address: str
    """Address of the peer."""
    user_agent: str
    request_id: str
    method: str
    path: str


_NOBODY: Final = Actor("", "", "", "", "", "", "", "")
_actor: ContextVar[Actor] = ContextVar("actor of the admin API", default=_NOBODY)


class AuditTrail:
    """Makes the events of writes and hands them on.

    Args:
        audit: Makes the events' frame.
        offer: Takes each event; must not block.
        redaction: What may be told.
        audits: The latest audit events, for the paths that list them.
        alerts: The latest alerts.
    """

    def __init__(
        self,
        audit: Audit,
        offer: Callable[[Event], None],
        redaction: Redaction,
        *,
        audits: RecentEvents,
        alerts: RecentEvents,
    ) -> None:
        self._audit = audit
        self._offer = offer
        self.redaction = redaction
        """What may be told."""
        self.audits = audits
        """The latest audit events."""
        self.alerts = alerts
        """The latest alerts."""

    def new_request_id(self) -> str:
        """Make the id of a request."""
        return self._audit.new_id()

    def told(self, path: str) -> str:
        """Return a path as it may be told."""
        return self.redaction.path(path)

    def note_write(self, write: Write, before: bytes | None, revision: int) -> None:
        """Raise the events of one document that was written.

        Args:
            write: What was written.
            before: The document that was there; None when there was none.
            revision: The store's revision with the write.
        """
        after = write.document if isinstance(write, Put) else None
        if before is None and after is None:
            return
        verb = "CREATE" if before is None else "DELETE" if after is None else "UPDATE"
        resource = _RESOURCES.get(write.kind)
        kind = write.kind if resource is None else resource.kind
        singular = write.kind if resource is None else resource.singular
        old = shown_document(before, self.redaction)
        new = shown_document(after, self.redaction)
        metadata: dict[str, Any] = {
            "kind": kind,
            "id": write.id,
            "revision": revision,
            "before": old,
            "after": new,
        }
        if verb == "UPDATE":
            metadata["changed"] = changed_keys(before, after)
        event = self.note(
            f"{verb}_{singular.upper().replace('-', '_')}",
            f"User {_WORDS[verb]} {kind} {write.id}",
            metadata,
        )
        alert = _ALERTS.get((write.kind, verb))
        if alert is None:
            return
        fields: dict[str, Any] = {
            "adminApiAlert": True,
            "user": event["user"],
            "audit_payload": event,
            "from": event["from"],
            "user-agent": self.redaction.header("user-agent", _actor.get().user_agent),
        }
        if alert == "GlobalConfigModification":
            fields |= {"oldConfig": old, "newConfig": new}
        self._offer(self._audit.alert(alert, fields))

    def note(self, action: str, message: str, metadata: dict[str, Any]) -> Event:
        """Raise the audit event of something that was done for the request being handled.

        Args:
            action: Otoroshi's word for it.
            message: The same in words.
            metadata: What else is to be known; no secret.
        """
        actor = _actor.get()
        event = self._audit.admin_api(
            action,
            message,
            caller=actor.address,
            metadata={
                "requestId": actor.request_id,
                "method": actor.method,
                "path": actor.path,
                **metadata,
            },
            client_id=actor.client_id or None,
            user=(actor.name, actor.email) if actor.name else None,
        )
        self._offer(event)
        return event

    def note_alert(self, name: str, fields: dict[str, Any]) -> None:
        """Raise an alert of something that was done for the request being handled.

        Args:
            name: Otoroshi's name of the alert.
            fields: What it tells; no secret.
        """
        actor = _actor.get()
        told: dict[str, Any] = {
            "from": actor.address,
            "user-agent": self.redaction.header("user-agent", actor.user_agent),
            **fields,
        }
        self._offer(self._audit.alert(name, told))

    def note_export(self, counts: Mapping[str, int]) -> None:
        """Raise the events of a full export. Unlike Otoroshi's they do not hold the export itself.

        Args:
            counts: How many entities of each kind it has.
        """
        event = self.note("FULL_OTOROSHI_EXPORT", "Admin exported Otoroshi", {"counts": counts})
        fields: dict[str, Any] = {
            "adminApiAlert": True,
            "user": event["user"],
            "event": event,
            "export": {"counts": counts},
            "from": event["from"],
            "user-agent": self.redaction.header("user-agent", _actor.get().user_agent),
        }
        self._offer(self._audit.alert("OtoroshiExportAlert", fields))


class AuditedStore(Store):
    """A store whose writes are told to an audit trail; everything else goes to the store itself.

    Args:
        store: The store. It stays open when this is closed.
        trail: Told each write that was made.
    """

    def __init__(self, store: Store, trail: AuditTrail) -> None:
        # The feeds are the inner store's: this one has no hub of its own.
        self._inner = store
        self.is_shared = store.is_shared
        self._trail = trail

    @property
    @override
    def name(self) -> str:
        return self._inner.name

    @property
    @override
    def revision(self) -> int:
        return self._inner.revision

    @override
    async def get(self, kind: str, entity_id: str) -> Record | None:
        return await self._inner.get(kind, entity_id)

    @override
    async def list(self, kind: str, *, after: str = "", limit: int = LIST_PAGE) -> Sequence[Record]:
        return await self._inner.list(kind, after=after, limit=limit)

    @override
    async def count(self, kind: str) -> int:
        return await self._inner.count(kind)

    @override
    async def id_at(self, kind: str, place: int) -> str | None:
        return await self._inner.id_at(kind, place)

    @override
    async def snapshot(self, kinds: Sequence[str]) -> Snapshot:
        return await self._inner.snapshot(kinds)

    @override
    async def transact(
        self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
    ) -> int:
        revision = self._inner.revision
        before = await self._documents_of(writes)
        # A client that leaves now must not have its write made and not told.
        with trio.CancelScope(shield=True):
            revision = await self._inner.transact(writes, at=at, seen=seen)
            for place, (write, document) in enumerate(zip(writes, before, strict=True)):
                if place % TOLD_AT_ONCE == TOLD_AT_ONCE - 1:
                    await trio.lowlevel.checkpoint()
                self._trail.note_write(write, document, revision)
        return revision

    async def _documents_of(self, writes: Sequence[Write]) -> Sequence[bytes | None]:
        """Read what is stored where something is to be written."""
        if len(writes) <= MOST_READ_ALONE:
            records = [await self._inner.get(write.kind, write.id) for write in writes]
            return [None if record is None else record.document for record in records]
        snapshot = await self._inner.snapshot(sorted({write.kind for write in writes}))
        known = {(record.kind, record.id): record.document for record in snapshot.records}
        return [known.get((write.kind, write.id)) for write in writes]

    @override
    async def revisions(
        self, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        return await self._inner.revisions(before=before, limit=limit)

    @override
    async def find_revisions(
        self, sought: Sought, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        return await self._inner.find_revisions(sought, before=before, limit=limit)

    @override
    async def difference(self, since: int, until: int | None = None) -> Difference:
        return await self._inner.difference(since, until)

    @override
    async def load_blobs(self, prefix: str) -> Sequence[Blob]:
        return await self._inner.load_blobs(prefix)

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        await self._inner.save_blobs(blobs)

    @override
    async def tally(
        self, told: Sequence[Tally], asked: Sequence[str] = (), *, now: float
    ) -> Mapping[str, Mapping[str, int]]:
        return await self._inner.tally(told, asked, now=now)

    @override
    async def aclose(self) -> None:
        """Leave the store open: it is not this one's."""
        await trio.lowlevel.checkpoint()

    @override
    @contextmanager
    def watch(self) -> Generator[Feed]:
        with self._inner.watch() as feed:
            yield feed


class AuditActor:
    """ASGI middleware behind the guard: notes who asks, and answers the request's id.

    What is changed meanwhile is remembered with it, and with ``?message=`` of the request.

    Args:
        app: What handles the request.
        trail: Makes the id.
    """

    def __init__(self, app: ASGIApp, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and add the header ``Otoroshi-Request-Id`` to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        caller = current_caller()
        client = scope.get("client")
        request_id = self._trail.new_request_id()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Otoroshi-Request-Id"] = request_id
            await send(message)

        actor = Actor(
            client_id=caller.client_id if caller else "",
            name=caller.name if caller else "",
            email=caller.email if caller else "",
            address=caller.address if caller else client[0] if client else "",
            user_agent=headers.get("user-agent", ""),
            request_id=request_id,
            method=scope["method"],
            path=self._trail.told(scope["path"]),
        )
        message = QueryParams(scope["query_string"]).get("message", "")
        token = _actor.set(actor)
        try:
            with acting(Origin(actor.email or actor.client_id, request_id, message)):
                await self._app(scope, receive, send_with_id)
        finally:
            _actor.reset(token)
