"""What the gateway's own workers say of who calls, when they pass a request on to the admin API.

Such requests come in on a loopback port of their own. Each has a claim, signed by this process's secret,
that names the API key which the plan of the route accepted. The claim is believed, and nothing else: a key
in the request does not count there. The named key must still be in the store, enabled, and authorised for
the admin API, whatever the route asks for (`rights.callers`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from oto_trio._core import TokenKeys
from oto_trio.control.admin_route import CLAIM_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import Headers
    from starlette.types import Scope

    from oto_trio.control.admin_route import AdminRoute

__all__ = ["GatewayCaller", "GatewayClaims"]


class GatewayCaller(msgspec.Struct, frozen=True):
    """Who calls through the gateway."""

    client_id: str
    """Client id of the API key."""
    address: str
    """Address of the client, as the worker saw it."""


def _unix_time() -> float:
    return datetime.now(UTC).timestamp()


class _Key(msgspec.Struct, frozen=True):
    """The API key in a claim."""

    client_id: str = msgspec.field(default="", name="clientId")


class _Claim(msgspec.Struct, frozen=True):
    """What is read of a claim."""

    exp: float
    apikey: _Key = _Key()
    address: str = ""


class GatewayClaims:
    """Tells which requests come from the gateway's own workers, and who calls by them.

    Args:
        route: The admin API's route on this node: its port, and how its claims are signed.
        unix_time: Reads Unix time, in seconds; None for the system's.
    """

    def __init__(self, route: AdminRoute, *, unix_time: Callable[[], float] | None = None) -> None:
        self._port = route.port
        self._keys = TokenKeys(route.algorithm)
        self._unix_time = unix_time or _unix_time

    def is_from_worker(self, scope: Scope) -> bool:
        """Tell whether a request came in on the port of the workers."""
        server = scope.get("server")
        return server is not None and server[1] == self._port

    def caller(self, headers: Headers) -> GatewayCaller | None:
        """Find out who calls; None when there is no good claim."""
        given = headers.getlist(CLAIM_HEADER)
        if len(given) != 1:
            return None
        try:
            claim = msgspec.json.decode(self._keys.verify(given[0]), type=_Claim)
        except (ValueError, msgspec.DecodeError):
            return None
        if claim.exp <= self._unix_time() or not claim.apikey.client_id:
            return None
        return GatewayCaller(claim.apikey.client_id, claim.address)
