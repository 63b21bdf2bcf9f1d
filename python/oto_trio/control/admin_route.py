"""The admin API behind the gateway itself: the route it has there, and what that route is on this machine.

    client ── worker: route admin-api-service, an API key is asked for ── loopback ── control plane

The store keeps the route as Otoroshi makes it at its first start, and so it looks in the API, in exports
and on every node. Where its requests really go differs from node to node and from start to start, so it
is put in on the way to the workers: the node's own loopback port, and a step that says in a signed claim
which API key the plan accepted. The secret it is signed with lives as long as this process and is in no
store. The control plane believes that claim alone (`admin_api.gateway_claims`): whatever becomes of the
stored route, nobody gets in by it without a key that is authorised for the admin API.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from oto_trio.control.installation_key import ADMIN_GROUP, hold_lease, installation_key_writes
from oto_trio.control.store.base import Put
from oto_trio.gateway.installer import ROUTES
from oto_trio.model.backend import BackendSettings, Target
from oto_trio.model.document import encode_document
from oto_trio.model.errors import ConflictError
from oto_trio.model.plugin_slot import PluginSlot
from oto_trio.model.route import Frontend, Route
from oto_trio.model.service_descriptor import SERVICE_DESCRIPTORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oto_trio.control.credentials import AdminCredentials
    from oto_trio.control.settings import Settings
    from oto_trio.control.store.base import Store, Write

__all__ = [
    "ADMIN_GROUP",
    "ADMIN_ROUTE",
    "CLAIM_HEADER",
    "AdminRoute",
    "admin_api_names",
    "ensure_admin_route",
]

ADMIN_ROUTE: Final = "admin-api-service"
"""Id of the route. Source: Otoroshi's ``backOfficeServiceId``."""

CLAIM_HEADER: Final = "Oto-Trio-Claim"
"""Header that tells the control plane who calls."""

CLAIM_TTL_S: Final = 30
"""How long a claim holds: a request waits for the control plane no longer."""

ATTEMPTS: Final = 5
"""How often a start brings its route and key that another node's writes came in between of."""

TARGET_NAME: Final = "otoroshi-admin-internal-api"
"""Subdomain that the stored route sends its requests to. Source: Otoroshi's ``targetSubdomain``."""

LONGEST_CALL_MS: Final = 600_000
"""How long a request may take: an import of everything takes a while."""

_PLUGINS: Final = "cp:otoroshi.next.plugins"
_API_KEYS: Final = f"{_PLUGINS}.ApikeyCalls"
_CLAIM: Final = f"{_PLUGINS}.OtoroshiInfos"
_REPLACED: Final = frozenset({_CLAIM, f"{_PLUGINS}.OtoroshiChallenge"})
"""Plugins by which Otoroshi's gateway and its admin API know each other; the claim does it here."""


def admin_api_names(settings: Settings) -> tuple[str, ...]:
    """Return the host names under which the gateway serves the admin API; none when it does not."""
    if not settings.admin_api_exposed:
        return ()
    name = settings.admin_api_subdomain
    own = (f"{name}.{settings.domain}", f"{name}.localhost")
    return tuple(dict.fromkeys((*own, *settings.admin_api_domains)))


def _first_route(settings: Settings, names: Sequence[str]) -> Route:
    """Make the route as Otoroshi makes it."""
    return Route(
        id=ADMIN_ROUTE,
        name="otoroshi-admin-api",
        description="The admin API. Wherever its backend points, this gateway sends it to its own.",
        groups=(ADMIN_GROUP,),
        frontend=Frontend(domains=tuple(names)),
        backend=BackendSettings(
            targets=(Target(id="target_1", hostname="127.0.0.1", port=settings.http_port or 8080),)
        ),
        plugins=(
            PluginSlot(
                plugin=f"{_PLUGINS}.AdditionalHeadersIn",
                config={"headers": {"Host": f"{TARGET_NAME}.{settings.domain}"}},
            ),
            PluginSlot(plugin=f"{_PLUGINS}.OtoroshiChallenge", config={"version": "V1"}),
            PluginSlot(plugin=_CLAIM),
            PluginSlot(
                plugin=_API_KEYS,
                exclude=("/health", "/metrics"),
                config={"validate": True, "mandatory": True},
            ),
        ),
    )


async def ensure_admin_route(
    store: Store, settings: Settings, credentials: AdminCredentials, node: str = ""
) -> None:
    """Bring the route and the installation's API key into the store, if they are not there.

    Neither is brought when the gateway does not serve the admin API. A route that is there stays as it is. The
    key gets the secret of the settings, and one that it supersedes is taken out in the same transaction
    (`control.installation_key`), also when the admin API is not served.

    Args:
        store: Where they are kept.
        settings: They say whether and under which names the admin API is served.
        credentials: The admin API's key of this start.
        node: Tells this gateway from others on the same store; empty when there are no others.

    Raises:
        ConflictError: Others wrote the same documents at each of `ATTEMPTS` tries.
        StoreError: The store cannot be read or written.
    """
    names = admin_api_names(settings)
    if node:  # before others see that this gateway has one
        await hold_lease(store, node)
    for attempt in range(1, ATTEMPTS + 1):
        writes: list[Write] = []
        if names and await store.get(ROUTES, ADMIN_ROUTE) is None:
            route = encode_document(_first_route(settings, names))
            writes.append(Put(ROUTES, ADMIN_ROUTE, route, expect="absent"))
        writes += await installation_key_writes(store, credentials, node, is_wanted=bool(names))
        if not writes:
            return
        try:
            await store.transact(writes)
        except ConflictError:
            # A superseded key must not stay because another node started at the same time.
            if attempt == ATTEMPTS:
                raise
        else:
            return


class AdminRoute:
    """The admin API's route on this node.

    Args:
        settings: They say under which names it is served.
        port: The loopback port on which the control plane takes what workers send.
    """

    def __init__(self, settings: Settings, port: int) -> None:
        self.port = port
        """The loopback port."""
        self.secret = secrets.token_urlsafe(48)
        """What claims are signed with."""
        self._names = admin_api_names(settings)

    @property
    def algorithm(self) -> bytes:
        """How claims are signed, as JSON of Otoroshi's algorithm settings."""
        return msgspec.json.encode(self._algorithm)

    @property
    def _algorithm(self) -> dict[str, Any]:
        return {"type": "HSAlgoSettings", "size": 512, "secret": self.secret, "base64": False}

    def as_served(self, kind: str, entity_id: str, document: bytes) -> bytes:
        """Return a document as this node's workers get it: of the admin API's route, with its backend.

        Args:
            kind: Kind of the document as the store names it.
            entity_id: Its id.
            document: Its JSON.
        """
        if kind not in (ROUTES, SERVICE_DESCRIPTORS) or entity_id != ADMIN_ROUTE:
            return document
        try:
            route: object = msgspec.json.decode(document)
        except msgspec.DecodeError:
            return document  # the workers report it, with the reason
        if not isinstance(route, dict):
            return document
        stored = cast("dict[str, Any]", route)
        # The service that older versions of Otoroshi have for it would take the route's requests.
        if not self._names or kind == SERVICE_DESCRIPTORS:
            return msgspec.json.encode({**stored, "enabled": False})
        return msgspec.json.encode(
            {
                **stored,
                "frontend": self._frontend(stored.get("frontend")),
                "backend": self._backend(),
                "backend_ref": None,
                "plugins": self._plugins(stored.get("plugins")),
            }
        )

    def _frontend(self, stored: object) -> object:
        """Add the names of the settings to those of the stored route."""
        if not isinstance(stored, dict):
            return stored
        frontend = cast("dict[str, Any]", stored)
        domains: object = frontend.get("domains")
        known = cast("list[object]", domains) if isinstance(domains, list) else []
        return {**frontend, "domains": [*known, *(n for n in self._names if n not in known)]}

    def _backend(self) -> dict[str, Any]:
        """Point at the control plane of this node."""
        return {
            "targets": [{"id": "control", "hostname": "127.0.0.1", "port": self.port}],
            "client": {
                "call_timeout": LONGEST_CALL_MS,
                "call_and_stream_timeout": LONGEST_CALL_MS,
                "global_timeout": LONGEST_CALL_MS,
                "idle_timeout": LONGEST_CALL_MS,
            },
        }

    def _plugins(self, stored: object) -> object:
        """Let the claim take the place of what the two sides know each other by in Otoroshi."""
        if not isinstance(stored, list):
            return stored
        slots = cast("list[object]", stored)
        claim = {
            "plugin": _CLAIM,
            "config": {
                "version": "Latest",
                "ttl": CLAIM_TTL_S,
                "header_name": CLAIM_HEADER,
                "add_fields": {"address": "${req.ip_address}"},
                "algo": self._algorithm,
            },
        }
        return [*(slot for slot in slots if not _is_replaced(slot)), claim]


def _is_replaced(slot: object) -> bool:
    """Tell whether a slot of the stored route is left out."""
    if not isinstance(slot, dict):
        return False
    return cast("dict[str, object]", slot).get("plugin") in _REPLACED
