"""A client that sends what Daikoku sends to an Otoroshi, and reads of the answers what Daikoku reads.

One method for each call of Daikoku's client. Each asserts what Daikoku needs: it fails, or takes the gateway
for one without the thing, where that is missing.
"""

import base64
import json
from typing import Any, Final

import httpx
import msgspec

__all__ = ["ApiKey", "Daikoku", "DaikokuError", "Quotas", "Restriction", "Restrictions", "Rotation"]

KEYS: Final = "/apis/apim.otoroshi.io/v1/apikeys"


class DaikokuError(Exception):
    """An answer that Daikoku takes for a failure."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.status_code} - {answer.text}")
        self.status = answer.status_code


class Restriction(msgspec.Struct):
    """What a restriction is about; one without both keys is dropped without a word."""

    method: str
    path: str
    authorized_entity: dict[str, str] | None = None
    """The one entity of an aggregated key that it is for, by ``kind`` and ``id``."""


class Restrictions(msgspec.Struct):
    """Restrictions of a key; each of these keys may be missing, but not the object."""

    enabled: bool = False
    allowLast: bool = True  # noqa: N815 (as in the JSON)
    allowed: list[Restriction] = []
    forbidden: list[Restriction] = []
    notFound: list[Restriction] = []  # noqa: N815


class Rotation(msgspec.Struct):
    """Rotation of a key's secret; three keys are required."""

    enabled: bool
    rotationEvery: int  # noqa: N815
    gracePeriod: int  # noqa: N815
    nextSecret: str | None = None  # noqa: N815
    bearer: str | None = None


class ApiKey(msgspec.Struct):
    """A key as Daikoku reads and writes it: what has no default here is required in an answer."""

    clientId: str  # noqa: N815
    clientSecret: str  # noqa: N815
    clientName: str  # noqa: N815
    authorizedEntities: list[str]  # noqa: N815
    restrictions: Restrictions
    enabled: bool = True
    allowClientIdOnly: bool = False  # noqa: N815
    constrainedServicesOnly: bool = False  # noqa: N815
    readOnly: bool = False  # noqa: N815
    throttlingQuota: int = 10000000  # noqa: N815
    dailyQuota: int = 10000000  # noqa: N815
    monthlyQuota: int = 10000000  # noqa: N815
    metadata: dict[str, str] = {}
    tags: list[str] = []
    rotation: Rotation | None = None
    validUntil: int | None = None  # noqa: N815
    bearer: str | None = None


class Quotas(msgspec.Struct):
    """What is left of a key's quotas; every key is required."""

    authorizedCallsPerWindow: int  # noqa: N815
    throttlingCallsPerWindow: int  # noqa: N815
    remainingCallsPerWindow: int  # noqa: N815
    authorizedCallsPerDay: int  # noqa: N815
    currentCallsPerDay: int  # noqa: N815
    remainingCallsPerDay: int  # noqa: N815
    authorizedCallsPerMonth: int  # noqa: N815
    currentCallsPerMonth: int  # noqa: N815
    remainingCallsPerMonth: int  # noqa: N815


class Daikoku:
    """A Daikoku with one Otoroshi in its settings.

    Args:
        client: Its connections.
        url: Of the settings: where the sockets are.
        host: Of the settings: sent as ``Host`` whatever the URL says.
        key: Of the settings: client id and secret.
    """

    def __init__(
        self, client: httpx.AsyncClient, url: str, *, host: str, key: tuple[str, str]
    ) -> None:
        self._client = client
        self._url = url
        encoded = base64.b64encode(":".join(key).encode()).decode()
        self._headers = {"Host": host, "Authorization": f"Basic {encoded}", "Accept": "*/*"}

    async def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request; a body is JSON."""
        headers, content = dict(self._headers), None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body)
        return await self._client.request(
            method, f"{self._url}{path}", content=content, headers=headers
        )

    async def _read(self, path: str) -> Any:
        """Read JSON; anything but 200 is a failure."""
        answer = await self._send("GET", path)
        if answer.status_code != 200:
            raise DaikokuError(answer)
        return answer.json()

    # ------------------------------------------------------------------------------- choosing

    async def service_groups(self, *, id_prefix: str = "", name_prefix: str = "") -> list[Any]:
        """List the groups that somebody may choose; the prefixes are of Daikoku's configuration."""
        groups: list[dict[str, Any]] = await self._read("/api/groups")
        return [
            group
            for group in groups
            if group["id"].startswith(id_prefix) and group["name"].startswith(name_prefix)
        ]

    async def service_group(self, group_id: str) -> dict[str, Any]:
        """Read a group; before each statistic of one, too."""
        group: dict[str, Any] = await self._read(f"/api/groups/{group_id}")
        assert isinstance(group["id"], str)
        assert isinstance(group["name"], str)
        return group

    async def services(self) -> list[dict[str, Any]]:
        """List the services."""
        listed: list[dict[str, Any]] = await self._read("/api/services")
        return listed

    async def service(self, service_id: str) -> dict[str, Any]:
        """Read a service."""
        found: dict[str, Any] = await self._read(f"/api/services/{service_id}")
        return found

    async def routes(self) -> list[dict[str, Any]]:
        """List the routes."""
        listed: list[dict[str, Any]] = await self._read("/api/routes")
        assert all(isinstance(route[key], str) for route in listed for key in ("id", "name"))
        return listed

    # ---------------------------------------------------------------------------- subscriptions

    async def keys(self) -> list[dict[str, Any]]:
        """List the API keys."""
        listed: list[dict[str, Any]] = await self._read(KEYS)
        return listed

    async def key(self, client_id: str) -> ApiKey:
        """Read an API key."""
        return msgspec.convert(await self._read(f"{KEYS}/{client_id}"), ApiKey)

    async def create_key(self, key: ApiKey) -> ApiKey:
        """Make the API key of a subscription."""
        return await self._write("POST", KEYS, msgspec.to_builtins(key), (200, 201))

    async def update_key(self, key: ApiKey) -> ApiKey:
        """Write an API key whole: its plan, its state or its secret is another one."""
        return await self._write("PUT", f"{KEYS}/{key.clientId}", msgspec.to_builtins(key), (200,))

    async def patch_key(self, client_id: str, patch: list[dict[str, Any]]) -> ApiKey:
        """Change some of an API key."""
        return await self._write("PATCH", f"{KEYS}/{client_id}", patch, (200,))

    async def _write(self, method: str, path: str, body: Any, statuses: tuple[int, ...]) -> ApiKey:
        """Send a key, and read the one that is answered."""
        answer = await self._send(method, path, body)
        if answer.status_code not in statuses:
            raise DaikokuError(answer)
        return msgspec.convert(answer.json(), ApiKey)

    async def patch_keys(self, client_ids: list[str], patch: list[dict[str, Any]]) -> None:
        """Change many API keys alike, with one request."""
        lines = [json.dumps({"clientId": each, "patch": patch}) for each in client_ids]
        headers = {**self._headers, "Content-Type": "application/x-ndjson"}
        answer = await self._client.patch(
            f"{self._url}{KEYS}/_bulk", content="\n".join(lines), headers=headers
        )
        if answer.status_code >= 400:
            raise DaikokuError(answer)

    async def delete_key(self, client_id: str) -> None:
        """Delete an API key; nothing but 200 will do."""
        answer = await self._send("DELETE", f"{KEYS}/{client_id}")
        if answer.status_code != 200:
            raise DaikokuError(answer)

    # ------------------------------------------------------------------------------ consumption

    async def quotas(self, client_id: str) -> Quotas | None:
        """Read what is left of a key's quotas; None where Daikoku goes on with zeros."""
        answer = await self._send("GET", f"/api/apikeys/{client_id}/quotas")
        return msgspec.convert(answer.json(), Quotas) if answer.status_code == 200 else None

    async def consumption(self, of: str, entity_id: str) -> dict[str, Any] | None:
        """Read the statistics of a ``service``, an ``apikey`` or a ``group``; None where there are none."""
        if of == "group":
            await self.service_group(entity_id)
        span = "from=1700000000000&to=1700086400000"
        answer = await self._send("GET", f"/api/stats?{of}={entity_id}&{span}")
        assert answer.headers["content-type"].startswith("application/json")
        return answer.json() if answer.status_code == 200 else None

    async def elastic_config(self) -> dict[str, Any] | None:
        """Ask where the events are: Daikoku reads them from there itself."""
        config = await self._read("/api/globalconfig")
        found: dict[str, Any] | None = config.get("elasticReadsConfig")
        return found
