"""The latest audit events and alerts: ``/api/audit/events`` and ``/api/alert/events``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.listing import read_list_query
from oto_trio.control.admin_api.refusals import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.telemetry.events.recent import RecentEvents

__all__ = ["EventLists"]


class EventLists:
    """Endpoints for the events that are kept in memory.

    Args:
        audits: The latest audit events.
        alerts: The latest alerts.
    """

    def __init__(self, audits: RecentEvents, alerts: RecentEvents) -> None:
        self._audits = audits
        self._alerts = alerts

    def paths(self) -> list[Path]:
        """Give the paths."""
        lists = {"/api/audit/events": self._audits, "/api/alert/events": self._alerts}
        return [
            Path(path, partial(_list, events), methods=["GET"]) for path, events in lists.items()
        ]


async def _list(events: RecentEvents, request: Request) -> Response:
    """Answer a page of events, newest first, filtered and sorted like any list of the API."""
    try:
        query = read_list_query(request.query_params)
    except ApiError as error:
        return answer(request, error.body(), status=error.answer_status, pretty_by_default=False)
    found = [(query.keys_of(event), event) for event in events if query.matches(event)]
    query.sort(found)
    page = found[query.offset : query.offset + query.page_size]
    headers = {
        "X-Count": str(len(found)),
        "X-Offset": str(query.offset),
        "X-Page": str(query.page),
        "X-Page-Size": str(query.page_size),
    }
    text = msgspec.json.encode([query.project(event) for _, event in page])
    return Response(text, 200, headers, media_type="application/json")
