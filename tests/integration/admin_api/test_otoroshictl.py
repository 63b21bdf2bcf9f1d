"""otoroshictl's commands, played against a whole gateway by a client that sends exactly its requests."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.admin_api.otoroshictl import HEALTH, MAILER, Otoroshictl, RefusedError, id_of
from tests.integration.clients import eventually

pytestmark = pytest.mark.slow

KUBERNETES = """\
apiVersion: proxy.otoroshi.io/v1
kind: Route
metadata: {name: from-kubernetes}
spec:
  id: kube
  name: from-kubernetes
  frontend: {domains: [kube.oto.tools]}
  backend: {targets: [{hostname: 127.0.0.1, port: 9000}]}
---
kind: Backend
id: plain
name: plain
backend: {targets: [{hostname: 127.0.0.1, port: 9001}]}
"""


MAILER_FILE = f"""\
'''Stands in for cloud-apim's mailer.'''

from typing import Annotated

from msgspec import Meta

from oto_trio.plugin_api import Config, Exchange, Plugin, Response


class MailerConfig(Config, frozen=True):
    host: Annotated[str, Meta(description="The server that sends.")] = ""


class MailerEndpoint(Plugin[MailerConfig]):
    id = "{MAILER}"
    name = "Mailer endpoint"
    description = "Says through which server it would send."
    categories = ("Custom",)

    def call_backend(self, exchange: Exchange) -> Response:
        return Response(200, body=f"sent through {{self.config.host}}".encode())
"""

OWN = "admin-api-service"
"""The route that a gateway has of its own: the admin API's."""


def route(entity_id: str, **more: Any) -> dict[str, Any]:
    return {
        "id": entity_id,
        "name": f"route {entity_id}",
        "frontend": {"domains": [f"{entity_id}.oto.tools"]},
        "backend": {"targets": [{"hostname": "127.0.0.1", "port": 9000}]},
        **more,
    }


@asynccontextmanager
async def otoroshictl(data: Path, *, through_gateway: bool = True) -> AsyncGenerator[Otoroshictl]:
    """Run a gateway and give an otoroshictl with its configuration of a first try.

    Args:
        data: The gateway's data folder.
        through_gateway: Whether it calls the gateway, as it does Otoroshi's; else the control listener.
    """
    async with (
        gateway_process(
            *("--dev", "--workers", "1"),
            data=data,
            environ={"OTOROSHI_HEALTH_ACCESS_KEY": "test-health-key"},
        ) as gateway,
        httpx.AsyncClient(timeout=30) as client,
    ):
        ctl = Otoroshictl(
            client,
            gateway.http if through_gateway else gateway.admin,
            hostname="otoroshi-api.oto.tools",
            key=("admin-api-apikey-id", "admin-api-apikey-secret"),
            health_key="test-health-key",
        )
        # As its own test suite does; a worker hears a moment later that the start is complete.

        async def is_healthy() -> bool:
            return (await ctl.send("GET", HEALTH)).status_code == 200

        await eventually(is_healthy)
        yield ctl


@pytest.mark.parametrize("through_gateway", [True, False], ids=["gateway", "control listener"])
async def test_it_looks_around_and_works_with_resources(
    tmp_path: Path, *, through_gateway: bool
) -> None:
    async with otoroshictl(tmp_path, through_gateway=through_gateway) as ctl:
        assert (await ctl.health())["otoroshi"] == "healthy"
        assert await ctl.metrics()
        assert await ctl.version() == "18.0.0-dev"
        infos = await ctl.infos()
        config = (await ctl.resources("global-configs"))[0]
        assert infos["otoroshi_cluster_id"] == config["otoroshiId"]
        assert infos["env"] == "prod"
        assert infos["datastore"].startswith("sqlite")

        # Every resource has a list, by each of its names; all but sessions and users have a template.
        rows = await ctl.entities()
        assert len(rows) == 32
        for row in rows:
            for name in (row["singular_name"], row["kind"], f"{row['group']}/{row['kind']}"):
                assert isinstance(await ctl.resources(name), list)
        no_template = {"AdminSession", "SimpleAdminUser", "AuthModuleUser"}
        for row in rows:
            if row["kind"] not in no_template:
                assert await ctl.template(row["plural_name"]), row

        await ctl.create("route", route("one"))
        await ctl.create("routes", route("two", enabled=False))
        assert [id_of(r) for r in await ctl.resources("routes", "enabled=false")] == ["two"]
        assert [id_of(r) for r in await ctl.resources("routes", "filter.id=one")] == ["one"]
        assert (await ctl.resource("Route", "one"))["kind"] == "proxy.otoroshi.io/Route"
        with pytest.raises(RefusedError, match="resource not found"):
            await ctl.resource("route", "none")

        await ctl.create_from_data(
            "route", ("id", "three"), ("name", "third"), ("enabled", "false")
        )
        three = await ctl.resource("route", "three")
        assert (three["name"], three["enabled"]) == ("third", False)
        assert three["frontend"]["domains"], "the rest is the template's"
        await ctl.edit("route", "three", route("three", name="edited"))
        await ctl.patch("route", "three", {"description": "patched"})
        three = await ctl.resource("route", "three")
        assert (three["name"], three["description"]) == ("edited", "patched")
        # As with Otoroshi, data is laid over the template here, not over the entity.
        reset = await ctl.edit_from_data("route", "three", ("name", "again"))
        assert (reset["id"], reset["name"]) == ("three", "again")
        assert reset["description"] != "patched"

        assert await ctl.delete("route", "one", "two", "none") == [True, True, False]
        assert [id_of(r) for r in await ctl.resources("routes")] == [OWN, "three"]


async def test_it_applies_files_again_and_again(tmp_path: Path) -> None:
    async with otoroshictl(tmp_path) as ctl:
        files = [route("one", kind="Route"), route("two", kind="proxy.otoroshi.io/Route")]
        assert await ctl.apply_json(*files) == ["created", "created"]
        stored = [{**await ctl.resource("route", id_of(f)), "kind": "route"} for f in files]
        # It reads Otoroshi's header the wrong way round: "true" means that nothing changed.
        assert await ctl.apply_json(*stored) == ["updated", "updated"]
        assert await ctl.apply_json(*files) == ["unchanged", "unchanged"]

        assert await ctl.apply_yaml(KUBERNETES) == ["created", "created"]
        kube = await ctl.resource("route", "kube")
        assert (kube["name"], kube["frontend"]["domains"]) == (
            "from-kubernetes",
            ["kube.oto.tools"],
        )
        assert await ctl.apply_yaml(KUBERNETES) == ["updated", "unchanged"]

        key = {"kind": "Apikey", "clientId": "c1", "clientSecret": "s1", "clientName": "n1"}
        assert await ctl.apply_json({**key, "authorizedEntities": ["route_one"]}) == ["created"]
        assert await ctl.sidecar("one", "c1") == ("route one", "s1")
        config = {**await ctl.resource("global-configs", "global"), "kind": "GlobalConfig"}
        config["lines"] = ["prod", "preprod"]
        assert await ctl.apply_json(config) == ["unchanged"]
        assert (await ctl.resources("global-configs"))[0]["lines"] == ["prod", "preprod"]
        assert await ctl.apply_json(route("bad", kind="Route", frontend=5)) == ["error 400"]


async def test_it_exports_and_imports_everything(tmp_path: Path) -> None:
    async with otoroshictl(tmp_path) as ctl:
        await ctl.create("route", route("one"))
        await ctl.create("backend", {"id": "b1", "name": "b1", "backend": {"targets": []}})
        assert await ctl.mtls("Want") == "None"
        folder = await ctl.export_folder()
        assert [id_of(r) for r in folder["routes"]] == [OWN, "one"]
        assert folder["global-configs"][0]["tlsSettings"]["clientAuth"] == "Want"

        for ndjson in (False, True):
            exported = await ctl.export(ndjson=ndjson)
            assert await ctl.mtls("None") == "Want"
            assert await ctl.delete("route", "one") == [True]
            await ctl.create("route", route("two"))
            await ctl.import_(exported, ndjson=ndjson)
            assert [id_of(r) for r in await ctl.resources("routes")] == [OWN, "one"]
            assert await ctl.mtls("Want") == "Want"
            again = _content(await ctl.export(ndjson=ndjson))
            assert [d for d in again if d not in _content(exported)] == []
            assert len(again) == len(_content(exported))


async def test_it_adds_a_mailer_where_somebodys_plugin_can_send_mail(tmp_path: Path) -> None:
    async with otoroshictl(tmp_path) as ctl:
        with pytest.raises(LookupError):
            await ctl.add_mailer("smtp.test")
        (tmp_path / "plugins" / "mailer.py").write_text(MAILER_FILE)
        url, bearer = await ctl.add_mailer("smtp.test")
        assert url == "newroute.oto.tools/mailer"

        async def answered() -> httpx.Response:
            return await ctl.call_route(url, {"Authorization": f"Bearer {bearer}"})

        async def is_served() -> bool:
            return (await answered()).status_code == 200

        await eventually(is_served)
        assert (await answered()).text == "sent through smtp.test"
        assert (await ctl.call_route(url, {})).status_code == 400, "it needs the API key"


def _content(exported: bytes) -> list[Any]:
    """Read an export but for when it was made, what was counted, and the certificates.

    The first certificates are made in the background; they may come before, between or after exports.
    """
    lines = exported.splitlines() if exported.startswith(b'{"') else [exported]
    documents: list[dict[str, Any]] = [json.loads(line) for line in lines]
    passing = ("date", "dateRaw", "stats", "certificates")
    kept = (d for d in documents if ":certs:" not in d.get("k", ""))
    return [{key: value for key, value in d.items() if key not in passing} for d in kept]
