"""A client that sends what otoroshictl sends, byte for byte where a server could tell the difference.

One method for each of its commands that calls the admin API. A method checks what otoroshictl needs of the
answer (it panics, or says "not found", when that is missing) and gives the value that it would work with.
"""

import base64
import json
from collections.abc import Iterable
from typing import Any, Final, cast

import httpx
import yaml

__all__ = ["HEALTH", "Otoroshictl", "RefusedError", "id_of"]

HEALTH: Final = "/.well-known/otoroshi/monitoring/health"
METRICS: Final = "/.well-known/otoroshi/monitoring/metrics"

ID_KEYS: Final = (
    *("id", "client_id", "clientId", "username", "otoroshiId", "serviceId"),
    "randomId",
)
"""Where otoroshictl looks for the id of an entity, in this order."""

NAME_KEYS: Final = ("name", "clientName", "client_name", "otoroshiId", "label", "username")
"""Where it looks for the name."""

ALLOWED_HEADERS: Final = frozenset({"host", "accept", "authorization", "content-type"})
"""The headers that it sends, beside the length of a body."""

MAILER: Final = "cp:otoroshi_plugins.com.cloud.apim.otoroshi.plugins.mailer.MailerEndpoint"
"""The plugin that ``toolbox add-mailer`` makes a route for; nobody's but cloud-apim's."""

API_KEYS: Final = "cp:otoroshi.next.plugins.ApikeyCalls"


class RefusedError(Exception):
    """An answer that otoroshictl prints as an error."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"status: {answer.status_code}, body: {answer.text}")
        self.status = answer.status_code


class Otoroshictl:
    """A configured otoroshictl.

    Args:
        client: Its connections.
        url: Where the sockets are, without a final slash.
        hostname: Name of the cluster's host, as its configuration has it; its port is that of the url.
        key: Client id and secret.
        health_key: What the probes ask for.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        *,
        hostname: str,
        key: tuple[str, str],
        health_key: str | None = None,
    ) -> None:
        self._client = client
        self._url = url
        self._host = f"{hostname}:{url.rpartition(':')[2]}"
        encoded = base64.b64encode(":".join(key).encode()).decode()
        self._authorization = "Basic " + encoded.rstrip("=")
        self._health_key = health_key

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> httpx.Response:
        """Send one request as otoroshictl does."""
        if path.endswith(("monitoring/health", "monitoring/metrics")) and self._health_key:
            path += f"?access_key={self._health_key}"
        headers = {"host": self._host, "accept": accept, "Authorization": self._authorization}
        if body is not None:
            headers["Content-Type"] = content_type
        request = self._client.build_request(
            method, f"{self._url}{path}", content=body, headers=headers
        )
        for name in set(request.headers) - ALLOWED_HEADERS - {"content-length"}:
            del request.headers[name]
        answer = await self._client.send(request)
        for header, value in answer.headers.raw:
            # It panics at any other one.
            assert all(0x20 <= byte < 0x7F for byte in value), f"{header!r}: {value!r}"
        return answer

    async def _get(self, path: str, accept: str = "application/json") -> Any:
        answer = await self.send("GET", path, accept=accept)
        if answer.status_code not in (200, 201):
            raise RefusedError(answer)
        return answer.json()

    # ------------------------------------------------------------------ what it is talking to

    async def health(self) -> dict[str, Any]:
        """``health``."""
        answer = await self.send("GET", HEALTH)
        assert answer.status_code == 200, answer.text
        health: dict[str, Any] = answer.json()
        assert isinstance(health["otoroshi"], str)
        assert isinstance(health["datastore"], str)
        for part in ("proxy", "storage", "eventstore", "certificates", "scripts"):
            assert isinstance(health[part]["status"], str), part
            assert isinstance(health[part].get("initialized"), bool | None), part
        assert "cluster" not in health or isinstance(health["cluster"]["health"], str)
        return health

    async def metrics(self) -> list[dict[str, Any]]:
        """``metrics``."""
        answer = await self.send("GET", METRICS)
        assert answer.status_code == 200, answer.text
        metrics: list[dict[str, Any]] = answer.json()
        assert isinstance(metrics, list)
        assert all(isinstance(metric["name"], str) for metric in metrics)
        return metrics

    async def entities(self) -> list[dict[str, Any]]:
        """``entities``, which also comes before most of the others."""
        catalogue = await self._get("/apis/entities")
        assert isinstance(catalogue["version"], str)
        resources: list[dict[str, Any]] = catalogue["resources"]
        for resource in resources:
            for key in ("kind", "plural_name", "singular_name", "group"):
                assert isinstance(resource[key], str), resource
            version = resource["version"]
            assert isinstance(version["name"], str)
            for key in ("served", "deprecated", "storage"):
                assert isinstance(version[key], bool), resource
        return resources

    async def version(self) -> str:
        """``version``."""
        version = await self._get("/api/version")
        assert all(isinstance(version[key], int) for key in ("major", "minor", "patch"))
        raw = version.get("version", version["raw"])
        assert isinstance(raw, str)
        return raw

    async def infos(self) -> dict[str, Any]:
        """``infos``; also what ``toolbox open`` asks."""
        infos: dict[str, Any] = await self._get("/api/infos")
        for key in ("otoroshi_cluster_id", "otoroshi_version", "datastore", "env"):
            assert isinstance(infos[key], str), key
        assert all(isinstance(infos["java_version"][key], str) for key in ("version", "vendor"))
        assert all(isinstance(infos["os"][key], str) for key in ("name", "version", "arch"))
        assert isinstance(infos.get("backoffice_url", ""), str)
        return infos

    # --------------------------------------------------------------------------- resources

    async def _path_of(self, resource: str, *, appends_s: bool = False) -> str:
        """Find a resource by plural, singular, kind or group and kind, as the commands do."""
        if appends_s and not resource.endswith("s"):
            resource += "s"
        for row in await self.entities():
            kind = row["kind"]
            names = (row["plural_name"], row["singular_name"], kind, f"{row['group']}/{kind}")
            if resource in names:
                return f"/apis/{row['group']}/{row['version']['name']}/{row['plural_name']}"
        raise AssertionError(f"otoroshictl finds no resource {resource!r}")

    async def resources(self, resource: str, *filters: str) -> list[dict[str, Any]]:
        """``resources get <resource> -f …``."""
        path = await self._path_of(resource)
        terms = [f if f.startswith("filter.") else f"filter.{f}" for f in filters]
        listed = await self._get("&".join([f"{path}?page=1&pageSize=99999", *terms]))
        assert isinstance(listed, list), "it panics at anything else"
        return cast("list[dict[str, Any]]", listed)

    async def resource(self, resource: str, entity_id: str) -> dict[str, Any]:
        """``resources get <resource> <id>``."""
        entity = await self._get(f"{await self._path_of(resource)}/{entity_id}")
        assert isinstance(entity, dict)
        return cast("dict[str, Any]", entity)

    async def template(self, resource: str) -> dict[str, Any]:
        """``resources template <resource>``."""
        answer = await self.send("GET", f"{await self._path_of(resource)}/_template")
        if answer.status_code != 200:
            raise RefusedError(answer)
        template: dict[str, Any] = answer.json()
        return template

    async def delete(self, resource: str, *ids: str) -> list[bool]:
        """``resources delete <resource> <ids…>``: whether each was deleted."""
        path = await self._path_of(resource, appends_s=True)
        return [(await self.send("DELETE", f"{path}/{id_}")).status_code == 200 for id_ in ids]

    async def _write(self, path: str, body: Any, content_type: str = "application/json") -> None:
        answer = await self.send("POST", path, json.dumps(body), content_type)
        if answer.status_code not in (200, 201):
            raise RefusedError(answer)

    async def create(self, resource: str, entity: dict[str, Any]) -> None:
        """``resources create <resource> --file …``."""
        path = await self._path_of(resource, appends_s=True)
        await self._write(f"{path}/{id_of(entity)}", entity)

    async def create_from_data(self, resource: str, *pairs: tuple[str, str]) -> None:
        """``resources create <resource> --data path=value …``."""
        path = await self._path_of(resource, appends_s=True)
        await self._write(path, _data(pairs), "application/json+oto-patch")

    async def edit(self, resource: str, entity_id: str, entity: dict[str, Any]) -> None:
        """``resources edit <resource> <id> --file …``."""
        path = await self._path_of(resource, appends_s=True)
        await self._get(f"{path}/{entity_id}")
        await self._write(f"{path}/{entity_id}", entity)

    async def edit_from_data(
        self, resource: str, entity_id: str, *pairs: tuple[str, str]
    ) -> dict[str, Any]:
        """``resources edit`` or ``patch <resource> <id> --data …``; gives what the answer holds."""
        path = f"{await self._path_of(resource, appends_s=True)}/{entity_id}"
        await self._get(path)
        answer = await self.send("POST", path, json.dumps(_data(pairs)), OTO_PATCH)
        if answer.status_code not in (200, 201):
            raise RefusedError(answer)
        entity: dict[str, Any] = answer.json()
        return entity

    async def patch(self, resource: str, entity_id: str, over: dict[str, Any]) -> None:
        """``resources patch <resource> <id> merge``: it merges by itself, key by key."""
        path = f"{await self._path_of(resource, appends_s=True)}/{entity_id}"
        await self._write(path, (await self._get(path)) | over)

    async def apply_json(self, *entities: dict[str, Any]) -> list[str]:
        """``resources apply --file x.json``: what it says of each entity."""
        rows = await self.entities()
        said: list[str] = []
        for entity in entities:
            path = f"{_path_of_kind(rows, entity['kind'])}/{id_of(entity)}"
            said.append(_said(await self.send("POST", path, json.dumps(entity))))
        return said

    async def apply_yaml(self, text: str) -> list[str]:
        """``resources apply --file x.yaml``: JSON under the name of YAML, or the YAML of ``spec``."""
        rows = await self.entities()
        said: list[str] = []
        for document in yaml.safe_load_all(text):
            entity = document.get("spec", document)
            path = f"{_path_of_kind(rows, document['kind'])}/{id_of(entity)}"
            if "spec" in document:
                body = yaml.safe_dump(entity)
                status = (await self.send("POST", path, body, "application/yaml")).status_code
                said.append({201: "created", 200: "updated"}.get(status, f"error {status}"))
            else:
                body = json.dumps(entity)
                said.append(_said(await self.send("POST", path, body, "application/yaml")))
        return said

    async def export(self, *, ndjson: bool = False) -> bytes:
        """``resources export --file … [--nd-json]``."""
        accept = "application/x-ndjson" if ndjson else "application/json"
        answer = await self.send("GET", "/api/otoroshi.json", accept=accept)
        if answer.status_code != 200:
            raise RefusedError(answer)
        return answer.content

    async def export_folder(self) -> dict[str, list[dict[str, Any]]]:
        """``resources export --directory … --split-files``: the list of every resource."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in await self.entities():
            path = f"/apis/{row['group']}/{row['version']['name']}/{row['plural_name']}"
            listed = await self.send("GET", f"{path}?page=1&pageSize=99999")
            assert listed.status_code == 200, listed.text
            found[row["plural_name"]] = listed.json()
            assert isinstance(found[row["plural_name"]], list)
            for entity in found[row["plural_name"]]:
                assert id_of(entity), entity
                assert _first(entity, NAME_KEYS), entity
        return found

    async def import_(self, content: bytes, *, ndjson: bool = False) -> None:
        """``resources import --file … [--nd-json]``."""
        kind = "application/x-ndjson" if ndjson else "application/json"
        answer = await self.send("POST", "/api/otoroshi.json", content, kind)
        if answer.status_code != 200:
            raise RefusedError(answer)

    # ----------------------------------------------------------------------------- toolbox

    async def mtls(self, mode: str) -> str:
        """``toolbox mtls -m <mode>``: what the mode was."""
        config = await self._get("/api/globalconfig")
        assert id_of(config), "it looks for an id"
        was: str = config["tlsSettings"]["clientAuth"]
        config["tlsSettings"]["clientAuth"] = mode
        answer = await self.send("PUT", "/api/globalconfig", json.dumps(config))
        if answer.status_code not in (200, 201):
            raise RefusedError(answer)
        return was

    async def add_mailer(self, smtp_host: str) -> tuple[str, str]:
        """``toolbox add-mailer``: the route's URL without its scheme, and the bearer of its API key.

        Args:
            smtp_host: Part of what the mailer is configured with.

        Raises:
            LookupError: The gateway has no mailer.
        """
        plugins = await self._get("/api/plugins/all")
        if MAILER not in [plugin["id"] for plugin in plugins]:
            raise LookupError("MailerEndpoint plugin not found in Otoroshi.")
        route = await self._get("/api/routes/_template")
        domains: list[str] = route["frontend"]["domains"]
        domains[0] = domains[0].rstrip("/") + "/mailer"
        slot: dict[str, Any] = {"enabled": True, "debug": False, "include": [], "exclude": []}
        slot |= {"bound_listeners": [], "plugin_index": {}}
        mailer = {"host": smtp_host, "port": 465, "user": "u", "password": "p", "auth": True}
        mailer |= {"starttls_enabled": True, "smtps": True, "max_retries": 5}
        keys = ("validate", "mandatory", "update_quotas", "wipe_backend_request")
        route["plugins"] = [
            {**slot, "plugin": MAILER, "config": mailer},
            {**slot, "plugin": API_KEYS, "config": dict.fromkeys(keys, True)},
        ]
        made = await self._sent("POST", "/api/routes", route)
        name = "mailer_" + made["id"].replace("route_", "")
        made = await self._sent("PUT", f"/api/routes/{made['id']}", {**made, "name": name})
        assert made["name"] == name
        key = await self._get("/api/apikeys/_template")
        key |= {"clientName": name, "description": f"API key for mailer route {made['id']}"}
        key = await self._sent("POST", f"/api/routes/{made['id']}/apikeys", key)
        assert isinstance(key["clientSecret"], str)
        bearer = await self._get(f"/api/apikeys/{key['clientId']}/bearer")
        return made["frontend"]["domains"][0], bearer["bearer"]

    async def call_route(self, url: str, headers: dict[str, str]) -> httpx.Response:
        """Call a route of the same gateway, as its user does.

        Args:
            url: Host and path, without a scheme.
            headers: Sent beside ``Host``.
        """
        host, _, path = url.partition("/")
        return await self._client.post(f"{self._url}/{path}", headers={"Host": host, **headers})

    async def _sent(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Send JSON and read what is answered."""
        answer = await self.send(method, path, json.dumps(body))
        if answer.status_code not in (200, 201):
            raise RefusedError(answer)
        sent: dict[str, Any] = answer.json()
        return sent

    async def sidecar(self, route_id: str, client_id: str) -> tuple[str, str]:
        """``sidecar run``: what it polls, for a route and an API key."""
        route = await self._get(f"/apis/proxy.otoroshi.io/v1/routes/{route_id}")
        assert all({"plugin", "config"} <= slot.keys() for slot in route["plugins"])
        key = await self._get(f"/apis/apim.otoroshi.io/v1/apikeys/{client_id}")
        assert isinstance(key["clientName"], str)
        return route["name"], key["clientSecret"]


OTO_PATCH: Final = "application/json+oto-patch"


def _data(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Write ``--data``: every value is a text."""
    return [{"path": path, "value": value} for path, value in pairs]


def _first(entity: dict[str, Any], keys: Iterable[str]) -> str:
    """Give the value of the first of some keys that there is."""
    value = next((entity[key] for key in keys if key in entity), None)
    return value if isinstance(value, str) else ""


def id_of(entity: dict[str, Any]) -> str:
    """Give an entity's id as otoroshictl finds it."""
    return _first(entity, ID_KEYS)


def _path_of_kind(rows: list[dict[str, Any]], kind: str) -> str:
    """Find a resource by the ``kind`` of a document that is applied."""
    for row in rows:
        if kind in (row["kind"], row["singular_name"].lower(), f"{row['group']}/{row['kind']}"):
            return f"/apis/{row['group']}/{row['version']['name']}/{row['plural_name']}"
    raise AssertionError(f"otoroshictl applies no kind {kind!r}")


def _said(answer: httpx.Response) -> str:
    """Say what ``apply`` says of an answer. It takes the header for its opposite."""
    if answer.status_code == 201:
        return "created"
    if answer.status_code != 200:
        return f"error {answer.status_code}"
    return "unchanged" if answer.headers.get("otoroshi-entity-updated") == "false" else "updated"
