"""``POST /apis/_apply``: many entities of any kinds brought to what a body says, all of them or none.

    body ── taken apart ── each compared with the store and checked ── one transaction, one revision

What is stored already as it is wanted is left alone, so that the same body can be applied again and again.
The transaction expects to find what was compared; when somebody else was quicker, all of it starts over.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec
import trio
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.bodies import media_type, read_body
from oto_trio.control.admin_api.documents import Wanted, read_documents, wanted_of
from oto_trio.control.admin_api.operations import MOST_ATTEMPTS, stamp, store_id
from oto_trio.control.admin_api.preconditions import moved, read_at, refuse_preconditions
from oto_trio.control.admin_api.reading import inspect_entity
from oto_trio.control.admin_api.refusals import ApiError, bad_request
from oto_trio.control.admin_api.rights import check_writes
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.control.documents.difference import field_changes
from oto_trio.control.store.base import Delete, Put, Record, Seen, Write
from oto_trio.model.document import encode_document, inspect_document, write_document
from oto_trio.model.errors import ConflictError, Problem, StoreMovedError
from oto_trio.model.ids import id_problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.control.admin_api.writing import WriteOptions
    from oto_trio.control.store.base import Expectation, Store
    from oto_trio.model.document import Document, JsonObject

__all__ = ["ApplyPath"]

MOST_PROBLEMS: Final = 100
"""Problems told of one body; it is refused for the first of them already."""

MOST_CHANGES: Final = 200
"""Fields told of one entity that changes; the answer says how many more there are."""

AT_ONCE: Final = 20
"""Entities looked at between two checkpoints: a few milliseconds' work."""

DATES: Final = ("created_at", "updated_at")
"""Metadata that the API writes itself: a document without them does not ask to remove them."""

Outcome = Literal["created", "updated", "unchanged", "deleted"]

_STATUS: Final[dict[Outcome, int]] = {
    "created": 201,
    "updated": 200,
    "unchanged": 200,
    "deleted": 200,
}


class _Step(msgspec.Struct, frozen=True):
    """What becomes of one entity."""

    wanted: Wanted
    outcome: Outcome
    expects: Write | Seen
    """What is written, or what must still be as it was seen because nothing needs to be."""
    changes: tuple[Any, ...] = ()
    """The fields that differ."""

    def told(self) -> JsonObject:
        """Make the line of the answer, in the words of a bulk's."""
        resource = self.wanted.resource
        line: JsonObject = {
            "document": self.wanted.place,
            "kind": resource.full_kind,
            "status": _STATUS[self.outcome],
            self.outcome: True,
            "id": self.wanted.entity_id,
            "id_field": resource.id_key,
        }
        if self.outcome == "updated":
            line["diff"] = self.changes[:MOST_CHANGES]
            if len(self.changes) > MOST_CHANGES:
                line["diff_left_out"] = len(self.changes) - MOST_CHANGES
        return line


class _Refusals:
    """The problems of a body, each with the entity it is in."""

    def __init__(self) -> None:
        self._rows: list[JsonObject] = []

    @property
    def is_full(self) -> bool:
        """Whether enough is known."""
        return len(self._rows) >= MOST_PROBLEMS

    def add(self, place: int, problem: Problem) -> None:
        """Note a problem."""
        row = {"path": problem.path, "message": problem.message, "fix": problem.fix}
        self._rows.append({"document": place, **row})

    def check(self) -> None:
        """Refuse the body if there is any problem.

        Raises:
            ApiError: There is; tells each, `MOST_PROBLEMS` at most.
        """
        if self._rows:
            rows = self._rows[:MOST_PROBLEMS]
            words = [
                f"document {row['document']}: {Problem(row['path'], row['message'], row['fix'])}"
                for row in rows
            ]
            raise ApiError(400, "bad_request", words, problems=rows)


class _AsPlanned:
    """The store as it would be: what one entity's check may read of another in the same body."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._planned: dict[tuple[str, str], Record | None] = {}

    def note(self, kind: str, entity_id: str, record: Record | None) -> None:
        """Note what is to be there."""
        self._planned[kind, entity_id] = record

    async def get(self, kind: str, entity_id: str) -> Record | None:
        """Read a document. Cancellation: a checkpoint when the store is read."""
        if (kind, entity_id) in self._planned:
            return self._planned[kind, entity_id]
        return await self._store.get(kind, entity_id)


class _Plan:
    """Finds out what a body changes.

    Args:
        entities: What is stored.
        options: What the write asks for.
    """

    def __init__(self, entities: Entities, options: WriteOptions) -> None:
        self.warnings: list[str] = []
        self._entities = entities
        self._options = options
        self._refusals = _Refusals()
        self._backends: frozenset[str] = frozenset()

    async def steps(self, items: list[object]) -> list[_Step]:
        """Compare each entity with the store.

        Raises:
            ApiError: Some entity is refused; the message names its place in the body and the field.
        """
        wanted = self._wanted(items)
        self._backends = frozenset(
            one.entity_id
            for one in wanted
            if one.resource.store_kind == "backends" and one.action == "upsert"
        )
        planned = _AsPlanned(self._entities.store)
        found: list[_Step] = []
        # What others refer to comes first, whatever its place in the body.
        for number, one in enumerate(sorted(wanted, key=_comes_late)):
            if number % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            if self._refusals.is_full:
                break
            step = await self._step(one, planned)
            if step is not None:
                found.append(step)
        self._refusals.check()
        return sorted(found, key=lambda step: step.wanted.place)

    def _wanted(self, items: list[object]) -> list[Wanted]:
        """Find out what is wanted of each entity; none may come twice."""
        wanted: list[Wanted] = []
        seen: dict[tuple[str, str], int] = {}
        for place, item in enumerate(items):
            one = wanted_of(place, item)
            if isinstance(one, Problem):
                self._refusals.add(place, one)
                continue
            stored_id = store_id(one.resource, one.entity_id)
            first = seen.setdefault((one.resource.store_kind, stored_id), place)
            fault = id_problem(stored_id)
            if fault is not None:
                self._refusals.add(place, Problem(f"$.{one.resource.id_key}", *fault))
            elif first != place:
                complaint = f"document {first} is the same entity already"
                problem = Problem(f"$.{one.resource.id_key}", complaint, "leave one of them out")
                self._refusals.add(place, problem)
            else:
                wanted.append(one)
        return wanted

    async def _step(self, one: Wanted, planned: _AsPlanned) -> _Step | None:
        """Find out what becomes of one entity; None when it is refused."""
        resource = one.resource
        stored_id = store_id(resource, one.entity_id)
        try:
            await self._entities.check_writable(resource)
            record = await self._entities.store.get(resource.store_kind, stored_id)
            if one.action == "delete":
                return self._removal(one, record)
            return await self._change(one, record, planned)
        except ApiError as error:
            if error.answer_status != 400:
                # It says more than that the document is wrong: who may do it, whether it works now.
                raise ApiError(
                    error.answer_status,
                    error.error,
                    error.description,
                    **{**error.extra, "document": one.place},
                ) from None
            words = error.description
            message = words if isinstance(words, str) else " | ".join(words)
            self._refusals.add(one.place, Problem("$", f"{error.error}: {message}", "correct it"))
            return None

    def _removal(self, one: Wanted, record: Record | None) -> _Step:
        """Remove an entity; what is not there is as it is wanted."""
        _require(one, "delete")
        if record is None:
            kind = one.resource.store_kind
            return _Step(
                one, "unchanged", Seen(kind, store_id(one.resource, one.entity_id), "absent")
            )
        return _Step(one, "deleted", Delete(record.kind, record.id, expect=record.revision))

    async def _change(
        self, one: Wanted, record: Record | None, planned: _AsPlanned
    ) -> _Step | None:
        """Make or change an entity."""
        resource = one.resource
        _require(one, "create" if record is None and resource.only_id is None else "update")
        old: JsonObject | None = None if record is None else msgspec.json.decode(record.document)
        document = one.document if old is None else _with_dates(one.document, old)
        entity, problems = await inspect_entity(
            resource,
            document,
            partial(self._check, document),
            enriched=self._options.is_enriched,
            strict=self._options.is_strict,
            old=old,
        )
        for problem in problems:
            if entity is None and (self._options.is_strict or problem.severity == "error"):
                self._refusals.add(one.place, problem)
            elif problem.severity != "error":
                self.warnings.append(f"document {one.place}: {problem}")
        if entity is None:
            return None
        was = None if old is None else inspect_document(resource.cls, old)[0]
        if record is not None and was is not None and was == entity:
            return _Step(one, "unchanged", Seen(record.kind, record.id, record.revision))
        if resource.admitted is not None:
            await resource.admitted(cast("Store", planned), was, entity)
        changes = () if was is None else field_changes(write_document(was), write_document(entity))
        entity = stamp(entity, "created_at" if old is None else "updated_at")
        stored_id = store_id(resource, one.entity_id)
        text = encode_document(entity)
        planned.note(
            resource.store_kind, stored_id, _as_record(resource.store_kind, stored_id, text)
        )
        expect: Expectation = "absent" if record is None else record.revision
        put = Put(resource.store_kind, stored_id, text, expect)
        return _Step(one, "created" if record is None else "updated", put, tuple(changes))

    def _check(self, document: JsonObject, entity: Document) -> list[Problem]:
        """Ask the gateway, which knows the backends that are stored now, not those that come too."""
        problems = self._entities.gateway.check(entity)
        if document.get("backend_ref") in self._backends:
            return [problem for problem in problems if problem.path != "$.backend_ref"]
        return problems


def _comes_late(one: Wanted) -> bool:
    """Tell whether an entity is checked against others: a subscription against its API."""
    return one.resource.admitted is not None and one.resource.kind != "Api"


def _require(one: Wanted, action: Literal["create", "update", "delete"]) -> None:
    """Refuse what may not be done to the entities of a resource."""
    if action not in one.resource.actions:
        what = f"{one.resource.kind}: you cannot {action} that"
        raise ApiError(401, "unauthorized", what)


def _as_record(kind: str, entity_id: str, text: bytes) -> Record:
    """Make the record of what is to be stored."""
    return Record(kind, entity_id, 0, text)


def _with_dates(document: JsonObject, old: JsonObject) -> JsonObject:
    """Keep the automatic dates of a stored document where the new one does not speak of them."""
    stored: object = old.get("metadata")
    given: object = document.get("metadata", {})
    if not isinstance(stored, dict) or not isinstance(given, dict):
        return document
    metadata = cast("JsonObject", stored)
    dates = {key: metadata[key] for key in DATES if key in metadata}
    return {**document, "metadata": {**dates, **cast("JsonObject", given)}} if dates else document


class ApplyPath:
    """The endpoint.

    Args:
        entities: What it reads and writes.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def paths(self) -> list[Path]:
        """Give the path."""
        return [Path("/apis/_apply", self._apply, methods=["POST"])]

    async def _apply(self, request: Request) -> Response:
        """Answer, or put the refusal into form."""
        try:
            return await self._applied(request)
        except ApiError as error:
            return answer(request, error.body(), status=error.answer_status)

    async def _applied(self, request: Request) -> Response:
        refuse_preconditions(request)
        options = read_write_options(request)
        dry_run = request.query_params.get("dry_run", "false")
        if dry_run not in ("true", "false"):
            raise bad_request(f"dry_run={dry_run!r} is neither true nor false; correct it")
        items = read_documents(media_type(request), await read_body(request))
        is_dry = dry_run == "true"
        at = read_at(request)
        plan, steps, revision = await self._carry_out(items, options, at, is_dry=is_dry)
        counts = Counter(step.outcome for step in steps)
        headers: dict[str, str] = {}
        if not is_dry:
            headers = await settle(self._entities.gateway, options, revision)
        outcomes: tuple[Outcome, ...] = ("created", "updated", "unchanged", "deleted")
        told: JsonObject = {
            "dry_run": is_dry,
            "revision": revision,
            **{outcome: counts[outcome] for outcome in outcomes},
            "results": msgspec.to_builtins([step.told() for step in steps]),
            "warnings": plan.warnings[:MOST_PROBLEMS],
        }
        return answer(request, told, headers=headers)

    async def _carry_out(
        self, items: list[object], options: WriteOptions, at: int | None, *, is_dry: bool
    ) -> tuple[_Plan, list[_Step], int]:
        """Plan and write; start over when somebody else was quicker."""
        store = self._entities.store
        for _ in range(MOST_ATTEMPTS):
            # Taken before anything is read, so that whoever names it later has seen nothing newer.
            revision = store.revision
            plan = _Plan(self._entities, options)
            steps = await plan.steps(items)
            expected = [step.expects for step in steps]
            writes: list[Write] = [one for one in expected if not isinstance(one, Seen)]
            try:
                if is_dry:
                    await check_writes(store, writes)
                if is_dry or not writes:
                    if at is not None:
                        await store.transact([], at=at)
                    return plan, steps, revision
                seen = [one for one in expected if isinstance(one, Seen)]
                return plan, steps, await store.transact(writes, at=at, seen=seen)
            except StoreMovedError as error:
                raise moved(error.wanted, error.at) from None
            except ConflictError:
                continue
        raise ApiError(409, "conflict", "others keep changing these entities; try again")
