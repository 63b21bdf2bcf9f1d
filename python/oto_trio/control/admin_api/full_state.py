"""``/api/otoroshi.json``: the whole configuration out, and in again.

    body ── taken apart ── every entity checked ── compared with the store ── one transaction

Nothing is written before everything was checked, and what is written is written together: a gateway serves
the configuration from before or the one from after, never something between.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Self

import trio
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import NDJSON, answer, wanted_format
from oto_trio.control.admin_api.bodies import media_type, read_body
from oto_trio.control.admin_api.full_export import take_export
from oto_trio.control.admin_api.full_import import read_dump, read_export
from oto_trio.control.admin_api.import_plan import plan_import
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.writing import read_write_options, settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from starlette.requests import Request

    from oto_trio.control.admin_api.audit_trail import AuditTrail
    from oto_trio.control.admin_api.import_plan import ImportPlan
    from oto_trio.control.admin_api.operations import Entities

__all__ = ["IMPORT_WAIT_S", "MAX_IMPORT_BYTES", "FullState"]

logger = logging.getLogger(__name__)

MAX_IMPORT_BYTES: Final = 256 * 1024 * 1024
"""Longest import. 10,000 routes and 100,000 API keys have about half of it."""

IMPORT_WAIT_S: Final = 300.0
"""How long the body of an import may take to arrive."""

MOST_HEADER_BYTES: Final = 1024
"""Room in a response header for what was kept or left out."""


class _Paced:
    """Pieces of text for an answer, with a checkpoint before each.

    A plain iterator: a client that leaves half-way leaves nothing behind that needs closing.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> Self:
        """Give the iterator itself."""
        return self

    async def __anext__(self) -> bytes:
        """Give the next piece. Cancellation: a checkpoint."""
        await trio.lowlevel.checkpoint()
        piece = next(self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        return piece


class FullState:
    """Endpoints for the whole configuration.

    Args:
        entities: What they read and write.
        trail: Told of an export and of an import.
    """

    def __init__(self, entities: Entities, trail: AuditTrail | None = None) -> None:
        self._entities = entities
        self._trail = trail
        self._is_importing = False

    def paths(self) -> list[Path]:
        """Give the paths."""
        whole, upload = "/api/otoroshi.json", "/api/import"
        return [
            Path(whole, self._safely(self._export), methods=["GET"]),
            Path(whole, self._safely(self._import), methods=["POST"]),
            Path(upload, self._safely(self._import), methods=["POST"]),
        ]

    def _safely(
        self, action: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Make an endpoint that puts refusals into form."""

        async def endpoint(request: Request) -> Response:
            try:
                return await action(request)
            except ApiError as error:
                return answer(
                    request, error.body(), status=error.answer_status, pretty_by_default=False
                )

        return endpoint

    async def _export(self, request: Request) -> Response:
        """``GET /api/otoroshi.json``: everything, as JSON or as Otoroshi's raw dump."""
        is_dump = wanted_format(request) == NDJSON
        stats: dict[str, int] = {}
        if not is_dump:
            counters = await self._entities.gateway.metrics()
            stats = {
                "calls": _whole(counters.get("requests")),
                "dataIn": _whole(counters.get("bytes_in")),
                "dataOut": _whole(counters.get("bytes_out")),
            }
        export = await take_export(self._entities.store)
        if self._trail is not None:
            self._trail.note_export(export.counts)
        headers = {"Oto-Trio-Revision": str(export.revision)}
        if is_dump:
            return StreamingResponse(_Paced(export.ndjson()), 200, headers, media_type=NDJSON)
        pieces = export.json(
            stats=stats,
            now_ms=time.time_ns() // 1_000_000,
            pretty=request.query_params.get("pretty") != "false",
        )
        return StreamingResponse(_Paced(pieces), 200, headers, media_type="application/json")

    async def _import(self, request: Request) -> Response:
        """``POST /api/otoroshi.json``: replace everything, or say why not."""
        options = read_write_options(request)
        is_dry = request.query_params.get("dry_run") == "true"
        await self._entities.check_writable()
        if self._is_importing:
            raise ApiError(409, "conflict", "another import is under way; try again when it ended")
        self._is_importing = True
        try:
            plan = await self._plan(request, strict=options.is_strict)
            if is_dry:
                told = {"done": False, "dry_run": True, **plan.told()}
                return answer(request, told, pretty_by_default=False)
            revision = await self._entities.store.transact(plan.writes)
        finally:
            self._is_importing = False
        self._tell(plan, revision)
        headers = await settle(self._entities.gateway, options, revision, plan.warnings)
        headers |= _counted("Oto-Trio-Kept", plan.kept)
        headers |= _counted("Oto-Trio-Left-Out", plan.left_out)
        return answer(request, {"done": True}, headers=headers, pretty_by_default=False)

    async def _plan(self, request: Request, *, strict: bool) -> ImportPlan:
        """Read the body and find out what it changes.

        Raises:
            ApiError: It is too long or too slow, no import, or some entity in it is refused.
        """
        text = await read_body(request, most_bytes=MAX_IMPORT_BYTES, wait_s=IMPORT_WAIT_S)
        kind = media_type(request)
        if request.url.path == "/api/import":  # an upload's own type says nothing
            kind = request.headers.get("x-content-type", kind).split(";")[0].strip().lower()
        # As with Otoroshi, anything but the type of the raw dump is JSON.
        source = await read_dump(text) if kind == NDJSON else read_export(text)
        entities = self._entities
        return await plan_import(source, entities.store, entities.gateway.check, strict=strict)

    def _tell(self, plan: ImportPlan, revision: int) -> None:
        """Put an import that was made into the log and the audit trail."""
        counts = {
            key: {
                "created": len(change.created),
                "updated": len(change.updated),
                "deleted": len(change.deleted),
            }
            for key, change in plan.changes.items()
        }
        logger.info("imported a configuration as revision %d: %s", revision, counts)
        if plan.kept:
            logger.warning("the import has entities that are kept, not served: %s", plan.kept)
        if plan.left_out:
            logger.warning("the import has what was left out: %s", plan.left_out)
        if self._trail is not None:
            self._trail.note(
                "FULL_OTOROSHI_IMPORT",
                "Admin imported Otoroshi",
                {"revision": revision, "changes": counts, "leftOut": plan.left_out},
            )


def _whole(value: object) -> int:
    """Read a counter; one that is not there yet is 0."""
    return value if isinstance(value, int) else 0


def _counted(header: str, counts: Mapping[str, int]) -> dict[str, str]:
    """Make a header that says how many of what: ``teams=2, drafts=1``."""
    if not counts:
        return {}
    text = ", ".join(f"{key}={count}" for key, count in sorted(counts.items()))
    shown = "".join(c if " " <= c <= "~" else "?" for c in text[:MOST_HEADER_BYTES])
    return {header: shown}
