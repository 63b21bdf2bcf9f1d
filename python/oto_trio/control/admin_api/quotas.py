"""Quotas of API keys: what is left of them, and setting them back.

The counts are those of the table that all workers share (`control.limits`), read and written at once; so
what a worker counted a moment ago is in the answer, and a reset holds for the next call. Where gateways share a
store, the answer has what all of them have told it, and a reset is for all of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, cast

from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.api_keys import has_owner
from oto_trio.control.admin_api.resources import API_KEYS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from oto_trio.control.admin_api.audit_trail import AuditTrail
    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.control.limits import LimitsTable
    from oto_trio.model.document import JsonObject

__all__ = ["QuotaPaths", "quotas_document"]

_OWNERS: Final = {"groups": "group", "services": "service", "routes": "route"}
"""Whose keys: word of the path → kind of authorisation."""

_TITLES: Final = {"group": "ServiceGroup", "service": "Service", "route": "Route"}

_UNLIMITED: Final = 10_000_000
_MOST: Final = 2**63 - 1


class QuotaPaths:
    """Endpoints for what is left of the quotas of a key.

    Args:
        entities: Where the keys are.
        limits: The counters.
        trail: Told of a reset.
    """

    def __init__(
        self, entities: Entities, limits: LimitsTable, trail: AuditTrail | None = None
    ) -> None:
        self._entities = entities
        self._limits = limits
        self._trail = trail

    def paths(self) -> list[Path]:
        """Give the paths; they must come before those of the resource itself."""
        kinds = {f"/api/{word}/{{owner}}/apikeys": kind for word, kind in _OWNERS.items()}
        bases: dict[str, str | None] = {"/api/apikeys": None, **kinds}
        return [
            Path(f"{base}/{{key}}/quotas", partial(self._act, kind), methods=["GET", "DELETE"])
            for base, kind in bases.items()
        ]

    async def _act(self, kind: str | None, request: Request) -> Response:
        """Answer what is left, after a reset when that is asked for."""
        client_id = request.path_params["key"]
        if kind is not None:
            owner = request.path_params["owner"]
            # Groups are names that routes carry.
            if kind != "group" and not await has_owner(self._entities, kind, owner):
                return _not_found(request, f"{_TITLES[kind]} with id: '{owner}' not found")
        document = await self._entities.get(API_KEYS, client_id)
        if document is None or (
            kind is not None
            and f"{kind}_{request.path_params['owner']}" not in document["authorizedEntities"]
        ):
            return _not_found(request, f"ApiKey with clientId '{client_id}' not found")
        if request.method == "DELETE":
            await self._entities.require_write(API_KEYS, client_id)
            sharing = self._limits.sharing
            if sharing is None:
                before = quotas_document(document, self._limits)
                self._limits.limits.reset_quota(client_id, *self._limits.now())
            else:
                # When the store is away, nothing is set back, and the answer is 503.
                await sharing.refresh(client_id)
                before = quotas_document(document, self._limits)
                await sharing.reset(client_id)
            if self._trail is not None:
                metadata = {"kind": API_KEYS.kind, "id": client_id, "before": before}
                message = f"User reset the quotas of {API_KEYS.kind} {client_id}"
                self._trail.note("RESET_APIKEY_QUOTAS", message, metadata)
        elif self._limits.sharing is not None:
            await self._limits.sharing.refresh(client_id)
        left = quotas_document(document, self._limits)
        return answer(request, left, pretty_by_default=False)


def quotas_document(key: JsonObject, limits: LimitsTable) -> dict[str, int]:
    """Return what an API key has used and what is left, in Otoroshi's shape.

    Args:
        key: The key's document.
        limits: The counters.
    """
    strategy: object = key.get("throttlingStrategy")
    given: object = None
    if isinstance(strategy, dict):
        given = cast("JsonObject", strategy).get("quota")
    quota = cast("JsonObject", given) if isinstance(given, dict) else {}
    named = {"window": "throttlingQuota", "daily": "dailyQuota", "monthly": "monthlyQuota"}
    bounds = {
        name: _bound(quota.get(name) if quota else key.get(own)) for name, own in named.items()
    }
    usage = limits.limits.peek_quota(key["clientId"], *limits.now(), **bounds)
    shown: dict[str, int] = {}
    for word, current, (used, limit, _, _) in (
        ("Window", "throttlingCallsPerWindow", usage.window),
        ("Day", "currentCallsPerDay", usage.daily),
        ("Month", "currentCallsPerMonth", usage.monthly),
    ):
        shown[f"authorizedCallsPer{word}"] = limit
        shown[current] = used
        shown[f"remainingCallsPer{word}"] = max(limit - used, 0)
    return shown


def _bound(value: object) -> int:
    """Return a number of calls as the counters take it; what is no number bounds nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _UNLIMITED
    return int(max(0, min(value, _MOST)))


def _not_found(request: Request, text: str) -> Response:
    """Answer 404 in the words of these paths."""
    return answer(request, {"error": text}, status=404, pretty_by_default=False)
