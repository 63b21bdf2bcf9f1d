"""`oto-trio history` and `oto-trio rollback`, with a gateway that runs and with its store at rest."""

import json
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import admin, route
from tests.integration.command_line.program import certified, invoked
from tests.integration.gateways import HTTPS

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"

pytestmark = pytest.mark.slow


async def run(*arguments: str) -> tuple[int, str]:
    """Run the command line in this process: starting another one each time would take most of the test."""
    run_it = partial(invoked, *arguments)
    result = await trio.to_thread.run_sync(run_it)
    return result.exit_code, result.output


async def test_changes_are_listed_compared_named_and_taken_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with gateway_process("--workers", "0", *HTTPS, data=data) as gateway:
        await certified(gateway)
        told = gateway.announcement
        url = told["admin"].replace("//", f"//{told['client_id']}:{told['client_secret']}@")
        async with admin(gateway) as api:
            first = route("r1", "http://127.0.0.1:9000")
            made = await api.post(f"{ROUTES}?message=made", json=first)
            # Not simply the latest: certificates of the first start are changes too.
            number = int(made.headers["Oto-Trio-Revision"])
            code, text = await run("history", url, "--tag", "release-1", "--show", str(number))
            assert (code, text) == (0, f"release-1 is revision {number}\n")
            moved = route("r1", "http://127.0.0.1:9001")
            await api.put(f"{ROUTES}/r1?message=moved", json=moved)
            await api.post(ROUTES, json=route("r2", "http://127.0.0.1:9002"))
            await check_history(url, number)
            await check_rollback(url, number, api)
    # The same of the store, now that nobody else uses it.
    await check_store_at_rest(str(data), number)


async def check_history(url: str, number: int) -> None:
    code, text = await run("history", url, "--limit", "99")
    assert (code, text.index("moved") < text.index("made")) == (0, True)
    assert "[release-1]" in text
    assert len((await run("history", url, "--limit", "1"))[1].splitlines()) <= 2
    code, text = await run("history", url, "--entity", "routes/r1", "--since", "1h", "--json")
    assert [one["message"] for one in json.loads(text)] == ["moved", "made"]
    code, text = await run("history", url, "--entity", "routes/r1", "--limit", "1")
    assert (code, "moved" in text, "made" in text) == (0, True, False)
    assert await run("history", url, "--actor", "nobody") == (0, "\n")
    assert await run("history", url, "--until", "2020-01-01") == (0, "\n")
    code, text = await run("history", url, "--since", "soon")
    assert (code, "since='soon' is no time" in text) == (1, True)
    code, text = await run("history", url, "--show", "release-1", "--json")
    shown = json.loads(text)
    assert (shown["revision"], shown["tags"]) == (number, ["release-1"])
    assert shown["message"] == "made"
    code, text = await run("history", url, "--diff", "release-1")
    assert code == 0
    assert "~ routes r1" in text
    assert "+ routes r2" in text
    assert "GET r2.test/: none (404) -> r2" in text
    assert "targets http://127.0.0.1:9000 -> http://127.0.0.1:9001" in text


async def check_rollback(url: str, number: int, api: httpx.AsyncClient) -> None:
    code, text = await run("rollback", "release-1", url, "--dry-run")
    assert (code, text.splitlines()[-1]) == (0, "nothing was changed (--dry-run)")
    dry = ("rollback", "release-1", url, "--dry-run", "--detailed-exitcode")
    assert (await run(*dry))[0] == 2
    code, text = await run("rollback", "release-1", url)
    assert (code, "give --yes" in text) == (1, True)
    code, text = await run("rollback", "release-1", url, "--yes", "--message", "too slow")
    assert code == 0, text
    assert f"revision {number} is back" in text
    assert (await api.get(f"{ROUTES}/r2")).status_code != 200
    back = (await api.get(f"{ROUTES}/r1")).json()
    assert back["backend"]["targets"][0]["port"] == 9000
    code, text = await run("rollback", "release-1", url, "--yes", "--detailed-exitcode")
    assert (code, "nothing to do" in text) == (0, True)
    assert "too slow" in (await run("history", url))[1]
    code, text = await run("rollback", "nothing", url, "--detailed-exitcode")
    assert (code, "there is no tag 'nothing'" in text) == (1, True)


async def check_store_at_rest(data: str, number: int) -> None:
    code, text = await run("history", data, "--tags")
    assert (code, text.startswith(f"release-1  revision {number}")) == (0, True)
    latest = json.loads((await run("history", data, "--json", "--limit", "1"))[1])[0]
    every = json.loads((await run("history", data, "--json", "--limit", "99"))[1])
    before = str(next(r["revision"] for r in every if r["message"] == "too slow") - 1)
    code, text = await run("rollback", before, data, "--kind", "routes", "-y", "-m", "no")
    assert (code, "+ routes r2" in text) == (0, True), text
    newest = json.loads((await run("history", data, "--json", "--limit", "1"))[1])[0]
    assert newest["revision"] == latest["revision"] + 1
    assert (newest["actor"], newest["message"]) == ("oto-trio on the command line", "no")
    assert (await run("history", data, "--untag", "release-1"))[0] == 0
    assert (await run("history", data, "--tags"))[1].strip() == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("history", "nowhere"), "there is no nowhere"),
        (("history", "."), "no data folder of a gateway"),
        (("rollback", "1", "."), "no data folder of a gateway"),
        (("history", "--to", "3"), "--to says where --diff ends"),
        (("history", "--tags", "--show", "3"), "ask for one thing"),
        (("history", "--tags", "--actor", "a"), "choose what is listed"),
        (("history", "--since", "999999d"), "nothing is as old as that"),
    ],
)
async def test_a_place_without_history_is_told(words: tuple[str, ...], said: str) -> None:
    code, text = await run(*words)
    assert (code, said in text) == (2, True), text
