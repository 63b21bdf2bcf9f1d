"""`oto-trio apply`: files brought to a gateway that runs, and to its store at rest."""

import json
from pathlib import Path

import httpx
import pytest

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import admin, route
from tests.integration.command_line.program import certified
from tests.integration.command_line.test_cli_history import run
from tests.integration.gateways import HTTPS

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"

pytestmark = pytest.mark.slow

CONF = """
backends:
  - {id: b, name: b, backend: 'http://127.0.0.1:9000'}
routes:
  - {id: r1, name: r1, frontend: r1.test, backend: 'http://127.0.0.1:9000'}
"""


async def test_files_are_applied_whole_or_not_at_all(tmp_path: Path) -> None:
    data, conf = tmp_path / "data", tmp_path / "conf"
    conf.mkdir()
    (conf / "all.yaml").write_text(CONF)
    async with gateway_process("--workers", "0", *HTTPS, data=data) as gateway:
        await certified(gateway)
        told = gateway.announcement
        url = told["admin"].replace("//", f"//{told['client_id']}:{told['client_secret']}@")
        async with admin(gateway) as api:
            await api.post(ROUTES, json=route("other", "http://127.0.0.1:9009"))
            await check_applying(conf, url, api)
            await check_refusal(conf, url, api)
            await check_dump(tmp_path / "dump", url)
            await check_pruning(conf, url, api)
    code, text = await run("apply", str(conf), str(data))
    assert (code, "nothing to do: 1 entities" in text) == (0, True), text
    (conf / "all.yaml").write_text(CONF.replace("r1.test", "r3.test"))
    code, text = await run("apply", str(conf), str(data), "--yes", "-m", "at rest")
    assert code == 0, text
    newest = json.loads((await run("history", str(data), "--json", "--limit", "1"))[1])[0]
    assert (newest["message"], newest["changes"]) == ("at rest", 1)


async def check_applying(conf: Path, url: str, api: httpx.AsyncClient) -> None:
    code, text = await run("apply", str(conf), url, "--dry-run", "--detailed-exitcode")
    assert code == 2
    assert text.splitlines()[:2] == ["+ backends b", "+ routes r1"]
    assert "GET r1.test/: none (404) -> r1" in text
    assert "2 created, 0 updated, 0 deleted, 0 unchanged; nothing was changed" in text
    assert (await api.get(f"{ROUTES}/r1")).status_code != 200
    code, text = await run("apply", str(conf), url)
    assert (code, "give --yes" in text) == (1, True)
    code, text = await run("apply", str(conf), url, "--yes", "--message", "release 1")
    assert (code, "applied as revision" in text) == (0, True), text
    revision = text.split()[-1]
    one = json.loads((await run("history", url, "--show", revision, "--json"))[1])
    assert (one["message"], one["changes"]) == ("release 1", 2)
    again = await run("apply", str(conf), url, "--yes", "--detailed-exitcode")
    assert (again[0], "nothing to do: 2 entities" in again[1]) == (0, True)
    assert (await api.get(f"{ROUTES}/other")).status_code == 200, "what is not named stays"


async def check_refusal(conf: Path, url: str, api: httpx.AsyncClient) -> None:
    bad = conf / "bad.yaml"
    bad.write_text(
        "routes: [{id: r2, name: r2, frontend: r2.test, backend: 'http://127.0.0.1:1',"
        " plugins: [{plugin: 'cp:not.There'}]}]"
    )
    before = await run("history", url, "--limit", "1")
    code, text = await run("apply", str(conf), url, "--yes")
    assert (code, "cp:not.There" in text) == (1, True), text
    bad.write_text("routes: [{id: r2, frontend: 7}]")
    code, text = await run("apply", str(conf), url, "--yes", "--detailed-exitcode")
    assert (code, "frontend" in text) == (1, True), text
    assert await run("history", url, "--limit", "1") == before
    bad.unlink()


async def check_dump(dump: Path, url: str) -> None:
    """What was dumped is there: nothing to do, also for kinds that nobody may write so."""
    assert (await run("dump", url, "--out", str(dump), "--without", "certificates"))[0] == 0
    code, text = await run("apply", str(dump), url, "--prune", "--kind", "routes", "--yes")
    assert (code, "nothing to do" in text) == (0, True), text
    code, text = await run("apply", str(dump), url, "--dry-run")
    assert (code, "nothing to do" in text) == (0, True), text


async def check_pruning(conf: Path, url: str, api: httpx.AsyncClient) -> None:
    (conf / "all.yaml").write_text(CONF.replace("r1.test", "r2.test").split("routes:")[0])
    code, text = await run("apply", str(conf), url, "--prune", "--kind", "routes", "--dry-run")
    assert code == 0
    assert text.splitlines()[:2] == ["- routes other", "- routes r1"]
    code, text = await run("apply", str(conf), url, "--prune", "--yes")
    assert (code, "nothing to do: 1 entities" in text) == (0, True), "it has no routes"
    code, text = await run("apply", str(conf), url, "--prune", "--kind", "routes", "--yes")
    assert (code, "2 deleted" in text) == (0, True), text
    assert [one["id"] for one in (await api.get(ROUTES)).json()] == ["admin-api-service"]
