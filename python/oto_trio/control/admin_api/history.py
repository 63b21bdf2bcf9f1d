"""``/api/history``: the revisions of the store, what they changed, what that means, and the way back.

For administrators of everything only: a revision may hold what belongs to any tenant. Beyond Otoroshi.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import trio
from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.bodies import decode_json, read_body
from oto_trio.control.admin_api.listing import read_list_query
from oto_trio.control.admin_api.preconditions import moved, read_at
from oto_trio.control.admin_api.refusals import ApiError, bad_request
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.control.history import (
    TAGS,
    Traffic,
    compare,
    compare_traffic,
    is_configuration,
    plan_rollback,
    tag_problem,
)
from oto_trio.control.history.comparing import changed_how
from oto_trio.control.history.meaning import TRAFFIC_KINDS
from oto_trio.control.history.searching import read_search
from oto_trio.control.history.tags import MOST_TAGS
from oto_trio.control.store.base import LIST_PAGE
from oto_trio.control.store.history import acting, current_origin
from oto_trio.model.errors import ConflictError, RevisionUnknownError, StoreMovedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request

    from oto_trio._core import Redaction
    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.control.store.history import Changed, Difference, Revision, Sought
    from oto_trio.model.document import JsonObject

__all__ = ["HistoryPaths"]

LARGEST_PAGE: Final = 1000
"""Revisions, or changed entities, in one answer at most."""

DEFAULT_PAGE: Final = 100
"""``pageSize`` when none is given."""

MOST_FOUND: Final = 10_000
"""Revisions up to the end of a page of those that are looked for."""

COMPARED_AT_ONCE: Final = 20
"""Entities compared between two checkpoints: a few milliseconds' work."""

MOST_ATTEMPTS: Final = 8
"""How often a rollback starts over when others write at the same time."""


class HistoryPaths:
    """Endpoints for the history.

    Args:
        entities: What they read and write.
        redaction: What may be shown of documents.
    """

    def __init__(self, entities: Entities, redaction: Redaction) -> None:
        self._entities = entities
        self._store = entities.store
        self._redaction = redaction
        self._comparing = trio.CapacityLimiter(1)
        # What was before each change of a long history may be 256 MiB: one request at a time holds any of it.
        self._reading = trio.CapacityLimiter(1)

    def paths(self) -> list[Path]:
        """Give the paths."""
        base = "/api/history"
        table: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("GET", base, self._list),
            ("GET", f"{base}/tags", self._tags),
            ("PUT", f"{base}/tags/{{tag}}", self._tag),
            ("DELETE", f"{base}/tags/{{tag}}", self._untag),
            ("GET", f"{base}/{{revision}}", self._one),
            ("GET", f"{base}/{{revision}}/_diff", self._diff),
            ("POST", f"{base}/{{revision}}/_rollback", self._rollback),
        ]
        return [Path(path, _safely(action), methods=[verb]) for verb, path, action in table]

    # ------------------------------------------------------------------------------- revisions

    async def _list(self, request: Request) -> Response:
        """``GET /api/history``: a page of revisions, the newest first."""
        page, size = _page(request)
        asked = read_search(request.query_params)
        if asked is not None:
            return await self._search(*asked, page, size)
        newest = await self._store.revisions(limit=1)
        total = 0
        found: Sequence[Revision] = ()
        if newest:
            # Revisions are kept without gaps, so their numbers say where a page begins.
            latest = newest[0].revision
            oldest = await self._oldest(latest)
            total = latest - oldest + 1
            before = latest + 1 - (page - 1) * size
            found = await self._store.revisions(before=before, limit=size) if before > 0 else ()
        names = await self._names()
        headers = _page_headers(total, page, size)
        text = msgspec.json.encode([_told(revision, names) for revision in found])
        return Response(text, 200, headers, media_type="application/json")

    async def _search(self, sought: Sought, before: int | None, page: int, size: int) -> Response:
        """Answer a page of the revisions that are looked for. How many there are is not counted."""
        last = page * size
        if last > MOST_FOUND:
            raise bad_request(
                f"page {page} is too far; go on with before=, the last revision that you have"
            )
        found = await self._store.find_revisions(sought, before=before, limit=last)
        names = await self._names()
        told = [_told(revision, names) for revision in found[last - size :]]
        headers = _page_headers(None, page, size)
        return Response(msgspec.json.encode(told), 200, headers, media_type="application/json")

    async def _oldest(self, latest: int) -> int:
        """Find the oldest revision that is kept, by bisection: revisions are kept without gaps."""
        low, high = 1, latest
        while low < high:
            middle = (low + high) // 2
            found = await self._store.revisions(before=middle + 1, limit=1)
            if found and found[0].revision == middle:
                high = middle
            else:
                low = middle + 1
        return low

    async def _one(self, request: Request) -> Response:
        """``GET /api/history/<revision>``: one revision, and a page of what it changed."""
        page, size = _page(request)
        number = await self._number(request.path_params["revision"])
        rows = await self._store.revisions(before=number + 1, limit=1)
        if not rows or rows[0].revision != number:
            raise _unknown(number)
        async with self._reading:
            changed = (await self._between(number - 1, number)).changed
            some = changed[(page - 1) * size : page * size]
            told = {
                **_told(rows[0], await self._names()),
                "entities": await self._compared(some),
            }
            return answer(request, told, headers=_page_headers(len(changed), page, size))

    async def _diff(self, request: Request) -> Response:
        """``GET /api/history/<revision>/_diff?to=``: what changed from one revision to another."""
        since = await self._number(request.path_params["revision"])
        until = await self._number(request.query_params.get("to", "now"))
        wants_meaning = _flag(request, "semantic", default=True)
        older, newer = min(since, until), max(since, until)
        async with self._reading:
            difference = await self._between(older, newer)
            changed = [c for c in difference.changed if is_configuration(c.kind)]
            if since > until:
                changed = [_turned(c) for c in changed]
            unequal = [c for c in changed if changed_how(c) is not None]
            told: dict[str, Any] = {
                "from": since,
                "to": until,
                "entities": await self._compared(unequal[:LARGEST_PAGE]),
                "entities_left_out": max(len(unequal) - LARGEST_PAGE, 0),
            }
            if wants_meaning:
                told["traffic"] = await self._meaning(unequal, difference, is_back=since > until)
            return answer(request, told)

    async def _compared(self, changed: Sequence[Changed]) -> list[object]:
        """Compare documents before and after, a few at a time."""
        found: list[object] = []
        for start in range(0, len(changed), COMPARED_AT_ONCE):
            await trio.lowlevel.checkpoint()
            some = compare(changed[start : start + COMPARED_AT_ONCE], self._redaction)
            found += [msgspec.to_builtins(one) for one in some]
        return found

    async def _meaning(
        self, changed: Sequence[Changed], difference: Difference, *, is_back: bool
    ) -> object:
        """Say what becomes of requests, if anything that decides about them changed.

        Args:
            changed: What is told of.
            difference: All that changed.
            is_back: Whether the way leads from its end to its beginning.
        """
        if not any(c.kind in TRAFFIC_KINDS for c in changed):
            return {"requests": [], "plans": [], "routes_left_out": 0, "owners": {}}
        snapshot = await self._store.snapshot(TRAFFIC_KINDS)
        now = {(record.kind, record.id): record.document for record in snapshot.records}
        newer = _undone(now, await self._between(difference.until, snapshot.revision))
        older = _undone(newer, difference)
        states = (newer, older) if is_back else (older, newer)
        registry = self._entities.gateway.registry()

        def work() -> object:
            before, after = (Traffic(state, registry) for state in states)
            return msgspec.to_builtins(compare_traffic(before, after))

        # It may take seconds with many routes, and the loop must go on meanwhile.
        return await trio.to_thread.run_sync(
            work, limiter=self._comparing, thread_name="oto-trio history", abandon_on_cancel=True
        )

    async def _between(self, since: int, until: int | None) -> Difference:
        """Read what changed between two revisions; None = the latest of the store.

        Raises:
            ApiError: One of them is not remembered.
        """
        try:
            return await self._store.difference(since, until)
        except RevisionUnknownError as error:
            raise ApiError(404, "not_found", str(error)) from None

    async def _number(self, text: str) -> int:
        """Read a revision: a number, the name of a tag, ``latest`` or ``now``.

        Raises:
            ApiError: There is none.
        """
        if text in {"latest", "now"}:
            return self._store.revision
        if text.isascii() and text.isdigit():
            if len(text) > 18:
                raise ApiError(404, "not_found", f"there was no revision {text[:30]}... yet")
            return int(text)
        if tag_problem(text) is not None:
            raise bad_request(
                f"{text[:100]!r} is no revision; write its number, the name of a tag, or latest"
            )
        record = await self._store.get(TAGS, text)
        if record is None:
            raise ApiError(404, "not_found", f"there is no tag {text!r}")
        return int(msgspec.json.decode(record.document)["revision"])

    # -------------------------------------------------------------------------------- the way back

    async def _rollback(self, request: Request) -> Response:
        """``POST /api/history/<revision>/_rollback``: bring a revision's state back, as a new one."""
        options = read_write_options(request)
        is_dry = _flag(request, "dry_run", default=False)
        kinds = {kind for kind in request.query_params.get("kinds", "").split(",") if kind}
        await read_body(request)  # there is nothing in it; a client may send one all the same
        number = await self._number(request.path_params["revision"])
        await self._entities.check_writable()
        async with self._reading:
            at = read_at(request)
            told, is_written = await self._brought_back(number, kinds, at, is_dry=is_dry)
        if not is_written:
            return answer(request, told)
        # The workers may take their time, and nobody else has to wait for them.
        headers = await settle(self._entities.gateway, options, told["revision"])
        return answer(request, told, headers=headers)

    async def _brought_back(
        self, number: int, kinds: set[str], at: int | None, *, is_dry: bool
    ) -> tuple[dict[str, Any], bool]:
        """Bring a revision's state back; returns what is answered, and whether anything was written."""
        for _ in range(MOST_ATTEMPTS):
            difference = await self._between(number, None)
            if at is not None and difference.until != at:
                raise moved(at, difference.until)
            plan = await plan_rollback(difference, self._entities.gateway.check, kinds=kinds)
            told: dict[str, Any] = {
                "dry_run": is_dry,
                "to": number,
                "revision": difference.until,
                "entities": await self._compared(plan.changes[:LARGEST_PAGE]),
                "entities_left_out": max(len(plan.changes) - LARGEST_PAGE, 0),
            }
            if plan.problems:
                raise ApiError(
                    409,
                    "conflict",
                    [f"revision {number} cannot come back: {problem}" for problem in plan.problems],
                )
            if is_dry or not plan.writes:
                told["traffic"] = await self._meaning(plan.changes, difference, is_back=True)
                return told, False
            origin = current_origin()
            message = origin.message or f"roll back to revision {number}"
            try:
                with acting(msgspec.structs.replace(origin, message=message)):
                    # What is there now was compared with what was there then: nothing may come between.
                    told["revision"] = await self._store.transact(plan.writes, at=difference.until)
            except StoreMovedError as error:
                if at is not None:
                    raise moved(at, error.at) from None
                continue
            return told, True
        raise ApiError(409, "conflict", "others keep changing the configuration; try again")

    # --------------------------------------------------------------------------------------- tags

    async def _names(self) -> dict[int, list[str]]:
        """Read the tags: names by revision."""
        names: dict[int, list[str]] = {}
        for record in await self._store.list(TAGS, limit=LIST_PAGE):
            tag = msgspec.json.decode(record.document)
            names.setdefault(tag["revision"], []).append(tag["name"])
        return names

    async def _tags(self, _: Request) -> Response:
        """``GET /api/history/tags``: every tag, by name."""
        rows = await self._store.revisions(limit=1)
        oldest = await self._oldest(rows[0].revision) if rows else self._store.revision + 1
        tags = [
            {**tag, "is_remembered": tag["revision"] >= oldest - 1}
            for record in await self._store.list(TAGS, limit=LIST_PAGE)
            if (tag := msgspec.json.decode(record.document))
        ]
        return Response(msgspec.json.encode(tags), 200, media_type="application/json")

    async def _tag(self, request: Request) -> Response:
        """``PUT /api/history/tags/<name>``: name a revision, or move a name to it."""
        options = read_write_options(request)
        name = request.path_params["tag"]
        problem = tag_problem(name)
        if problem is not None:
            raise bad_request("; ".join(problem))
        body: object = decode_json(await read_body(request) or b"{}")
        wanted: object = None
        if isinstance(body, dict):
            wanted = cast("JsonObject", body).get("revision", "latest")
        if isinstance(wanted, bool) or not isinstance(wanted, int | str):
            raise bad_request('send {"revision": N}: a number, the name of a tag, or "latest"')
        await self._entities.check_writable()
        number = await self._number(str(wanted))
        await self._between(number, number)  # only what is remembered may be named
        is_new = await self._store.get(TAGS, name) is None
        if is_new and await self._store.count(TAGS) >= MOST_TAGS:
            raise bad_request(f"there are {MOST_TAGS} tags; delete one first")
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        tag = {"name": name, "revision": number, "tagged_at": now}
        revision = await self._store.put(TAGS, name, msgspec.json.encode(tag))
        headers = await settle(self._entities.gateway, options, revision)
        return answer(request, tag, status=201 if is_new else 200, headers=headers)

    async def _untag(self, request: Request) -> Response:
        """``DELETE /api/history/tags/<name>``: forget a name; the revision stays."""
        options = read_write_options(request)
        name = request.path_params["tag"]
        await self._entities.check_writable()
        missing = ApiError(404, "not_found", f"there is no tag {name[:100]!r}")
        if tag_problem(name) is not None:
            raise missing
        try:
            revision = await self._store.delete(TAGS, name, expect="present")
        except ConflictError:
            raise missing from None
        headers = await settle(self._entities.gateway, options, revision)
        return answer(request, {"deleted": True}, headers=headers)


def _safely(
    action: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint that puts refusals into form."""
    return partial(_answered, action)


async def _answered(action: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await action(request)
    except ApiError as error:
        return answer(request, error.body(), status=error.answer_status)


def _told(revision: Revision, names: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """Make a revision as it is answered."""
    at = datetime.fromtimestamp(revision.at, UTC).isoformat(timespec="milliseconds")
    return {
        "revision": revision.revision,
        "at": at.replace("+00:00", "Z"),
        "actor": revision.origin.actor,
        "request_id": revision.origin.request_id,
        "message": revision.origin.message,
        "changes": revision.changes,
        "tags": names.get(revision.revision, []),
    }


def _turned(changed: Changed) -> Changed:
    """Look at a change from the other side."""
    return msgspec.structs.replace(changed, before=changed.after, after=changed.before)


def _undone(
    state: Mapping[tuple[str, str], bytes], difference: Difference
) -> dict[tuple[str, str], bytes]:
    """Make the documents before a difference from those after it."""
    before = dict(state)
    for changed in difference.changed:
        key = (changed.kind, changed.id)
        if changed.before is None:
            before.pop(key, None)
        elif changed.kind in TRAFFIC_KINDS:
            before[key] = changed.before
    return before


def _unknown(revision: int) -> ApiError:
    return ApiError(
        404,
        "not_found",
        f"revision {revision} is not remembered; GET /api/history lists those that are",
    )


def _page(request: Request) -> tuple[int, int]:
    """Read which page is wanted: its number, and how much is on it."""
    query = read_list_query(request.query_params)
    asked = request.query_params.get("pageSize")
    return query.page, DEFAULT_PAGE if asked is None else min(query.page_size, LARGEST_PAGE)


def _page_headers(total: int | None, page: int, size: int) -> dict[str, str]:
    return {
        **({} if total is None else {"X-Count": str(total)}),
        "X-Offset": str((page - 1) * size),
        "X-Page": str(page),
        "X-Page-Size": str(size),
    }


def _flag(request: Request, name: str, *, default: bool) -> bool:
    """Read a parameter that is true or false."""
    value = request.query_params.get(name)
    if value not in (None, "true", "false"):
        raise bad_request(f"{name}={value[:40]!r} is neither true nor false; correct it")
    return default if value is None else value == "true"
