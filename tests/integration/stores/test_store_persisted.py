"""Stores in memory with a state in a file, over HTTP and in S3: what is kept, when, and what goes wrong."""

from __future__ import annotations

import json
import os
import stat
from importlib.util import find_spec
from itertools import groupby
from typing import TYPE_CHECKING, Final, cast

import httpx
import pytest
import trio

from oto_trio.app import STORE_FILE
from oto_trio.control.store import Put, Record
from oto_trio.control.store.base import Blob
from oto_trio.control.store.opening import open_store
from oto_trio.model.errors import StoreError, StoreFileError, StoreLockedError
from oto_trio.testing.check_store import check_store
from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import admin, ask, eventually, route
from tests.integration.stores.aws_server import AwsServer
from tests.integration.stores.state_server import StateServer, state_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

    from oto_trio.control.store.persisted import PersistedStore
    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
GUARD_S: Final = 120.0


async def opened(url: str, folder: Path) -> PersistedStore:
    return cast("PersistedStore", await open_store(url, folder / STORE_FILE))


async def reach(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    with trio.fail_after(GUARD_S):
        while not condition():  # noqa: ASYNC110 (a file and a server tell nobody)
            await trio.sleep(0.02)


@pytest.fixture
async def server() -> AsyncGenerator[StateServer]:
    async with state_server() as running:
        yield running


# ----------------------------------------------------------------------------------- in a file


async def test_a_file_is_loaded_saved_meanwhile_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "db" / "state.ndjson"
    url = f"file://{path}?every=0.1"
    async with await opened(url, tmp_path) as store:
        assert not path.exists()
        await store.put("routes", "a", b'{"id":"a"}')
        await reach(path.exists)
        assert b'"otoroshi:routes:a"' in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await store.put("routes", "b", b'{"id":"b"}')
        await store.save_blobs([Blob("n", b"1")])
    async with await opened(url, tmp_path) as store:
        assert store.revision == 2
        assert [r.id for r in await store.list("routes")] == ["a", "b"]
        assert await store.load_blobs("") == [Blob("n", b"1")]
        await store.save_blobs([Blob("n", b"2")])
        await reach(lambda: b'"value":"Mg=="' in path.read_bytes())
    assert sorted(it.name for it in path.parent.iterdir()) == ["state.ndjson", "state.ndjson.lock"]


async def test_a_state_that_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "state.ndjson"
    async with await opened(f"file://{path}", tmp_path) as store:
        await store.put("routes", "a", b"{}")
        await store.save()
        before = path.stat()
        await store.get("routes", "a")
        await store.save()
        assert path.stat().st_ino == before.st_ino
        await store.put("routes", "a", b"[]")
        await store.save()
        assert path.stat().st_ino != before.st_ino, "replaced, not written into"


async def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "state.ndjson"
    async with await opened(f"file://{path}", tmp_path) as store:
        await store.put("routes", "a", b"1")
        await store.save()
        whole = path.read_bytes()
        new = path.with_name("state.ndjson.new")
        new.mkdir()  # in the way
        await store.put("routes", "a", b"2")
        with pytest.raises(StoreFileError, match="cannot be used"):
            await store.save()
        assert path.read_bytes() == whole
        assert await store.get("routes", "a") == Record("routes", "a", 2, b"2"), "it goes on"
        new.rmdir()
    async with await opened(f"file://{path}", tmp_path) as store:
        assert await store.get("routes", "a") == Record("routes", "a", 2, b"2")


async def test_what_an_interrupted_save_left_is_no_state(tmp_path: Path) -> None:
    path = tmp_path / "state.ndjson"
    path.with_name("state.ndjson.new").write_bytes(b'{"k":"otoroshi:rou')
    async with await opened(f"file://{path}", tmp_path) as store:
        assert await store.count("routes") == 0
        await store.put("routes", "a", b"1")
    async with await opened(f"file://{path}", tmp_path) as store:
        assert await store.count("routes") == 1


async def test_one_gateway_at_a_time_has_the_file(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/state.ndjson"
    async with await opened(url, tmp_path):
        with pytest.raises(StoreLockedError, match="another file in `store`"):
            await opened(url, tmp_path)
    async with await opened(url, tmp_path):
        pass


async def test_a_file_that_is_no_state_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.ndjson"
    path.write_bytes(b"routes: []\n")
    with pytest.raises(StoreFileError, match="line 1 is no line of a state"):
        await opened(f"file://{path}", tmp_path)
    assert path.read_bytes() == b"routes: []\n"
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreFileError, match="directory"):
        await opened(f"file://{path}", tmp_path)


async def test_a_gateway_takes_over_a_state_of_otoroshi(upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "state.ndjson"
    entity = route("taken", upstream.url)
    counter = {"k": "otoroshi:apikey:quotas:global:x", "v": 7, "t": -1, "w": "counter"}
    lines = [
        {"k": "otoroshi:routes:taken", "v": json.dumps(entity), "t": -1, "w": "string"},
        counter,
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ("--workers", "1", "--store", f"file://{path}")
    async with gateway_process(*options, data=tmp_path / "data") as gateway, admin(gateway) as api:
        assert (await ask(gateway.port, "taken.test")).status == 200
        created = await api.post(ROUTES, json=route("made", upstream.url))
        assert created.status_code == 201, created.text
        auth = gateway.auth
    kept = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert counter in kept, "what has no place here stays"
    assert {"otoroshi:routes:taken", "otoroshi:routes:made"} <= {line["k"] for line in kept}
    async with (
        gateway_process(*options, data=tmp_path / "data") as gateway,
        admin(gateway, auth) as api,
    ):
        assert (await ask(gateway.port, "made.test")).status == 200
        found = await api.get(f"{ROUTES}/made")
        assert found.json() == created.json()
    assert not (tmp_path / "data" / STORE_FILE).exists()


# ----------------------------------------------------------------------------------- over HTTP


async def test_a_state_over_http_is_read_once_and_posted(
    server: StateServer, tmp_path: Path
) -> None:
    url = f"{server.url}/w/state.json?v=1#every=0.1&header=X-Key:%20abc&header=Authorization:%20t"
    async with await opened(url, tmp_path) as store:
        await store.put("routes", "a", b"1")
        await reach(lambda: "/w/state.json?v=1" in server.states)
        await store.put("routes", "b", b"2")
    async with await opened(url.replace("every", "method=PUT&every"), tmp_path) as store:
        assert [r.id for r in await store.list("routes")] == ["a", "b"]
        await store.put("routes", "c", b"3")
    # A save that the end interrupts is made again.
    methods = [method for method, _ in groupby(method for method, _, _ in server.requests)]
    assert methods == ["GET", "POST", "GET", "PUT"]
    for method, target, headers in server.requests:
        assert target == "/w/state.json?v=1", "what is behind the # stays here"
        assert (headers["x-key"], headers["authorization"]) == ("abc", "t")
        name = "accept" if method == "GET" else "content-type"
        assert headers[name] == "application/x-ndjson"


@pytest.mark.parametrize("status", [500, 401, 301])
async def test_a_state_that_cannot_be_read_is_not_taken_for_an_empty_one(
    server: StateServer, tmp_path: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(StoreError, match=f"reading was answered with {status}"):
        await opened(f"{server.url}/state", tmp_path)
    assert [method for method, _, _ in server.requests] == ["GET"]


async def test_a_server_that_refuses_or_hangs_is_tried_again(
    server: StateServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with await opened(f"{server.url}/state#every=0.1", tmp_path) as store:
        server.status = 503
        await store.put("routes", "a", b"1")
        await reach(lambda: len(server.requests) >= 4)
        server.status, server.stalled = None, trio.Event()
        with monkeypatch.context() as patched:
            patched.setattr(store._place, "_timeout_s", 0.2)
            with pytest.raises(StoreError, match="no answer within"):
                await store.save()
        server.stalled = None
        await reach(lambda: "/state" in server.states)
        assert caplog.text.count("changes are in memory only") == 1
        server.status = 500
        await store.put("routes", "a", b"2")
        with pytest.raises(StoreError, match="writing was answered with 500"):
            await store.aclose()
    assert "what changed since the last save is lost" in caplog.text


async def test_an_unreachable_server_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        await opened("http://me:hidden@127.0.0.1:1/state?k=hidden#header=A:hidden", tmp_path)
    assert "hidden" not in str(caught.value)


# --------------------------------------------------------------------------------------- in S3


class S3Server:
    """moto's S3, which checks signatures: one bucket, and the keys of somebody who may use it."""

    def __init__(self, folder: Path) -> None:
        self._server = AwsServer(folder, "s3", calls=1)
        place = {"LocationConstraint": "eu-west-1"}
        self._server.client("s3").create_bucket(Bucket="states", CreateBucketConfiguration=place)
        self.access, self.secret = self._server.access, self._server.secret
        self.endpoint = self._server.endpoint

    def url(self, key: str, *, access: str | None = None, secret: str | None = None) -> str:
        """Return the setting `store` for an object."""
        user = httpx.URL("s3://h").copy_with(
            username=access or self.access, password=secret or self.secret
        )
        return f"s3://{user.userinfo.decode()}@states/{key}?endpoint={self.endpoint}&acl=Private"

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Generator[S3Server]:
    if find_spec("moto") is None and not os.environ.get("CI"):
        pytest.skip("moto is not installed: make setup")
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        yield server
    finally:
        server.stop()


async def test_the_store_in_s3_keeps_the_contract(s3: S3Server, tmp_path: Path) -> None:
    async def open_named(name: str) -> PersistedStore:
        return await opened(s3.url(f"otoroshi/states/{name}"), tmp_path)

    await check_store(open_named, durable=True)


async def test_keys_with_odd_characters_are_signed(s3: S3Server, tmp_path: Path) -> None:
    async with await opened(s3.url("a%20b/ü+c~d=(e)/state"), tmp_path) as store:
        await store.transact([Put("routes", f"r{n}", b"x" * 1000) for n in range(500)])
    async with await opened(s3.url("a%20b/ü+c~d=(e)/state"), tmp_path) as store:
        assert await store.count("routes") == 500


async def test_a_wrong_secret_ends_the_start(s3: S3Server, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"403 \(SignatureDoesNotMatch\)") as caught:
        await opened(s3.url("state", secret="hidden-secret"), tmp_path)
    assert "hidden-secret" not in str(caught.value)
    assert s3.access not in str(caught.value)


async def test_a_missing_bucket_is_not_taken_for_an_empty_state(
    s3: S3Server, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=r"404 \(NoSuchBucket\)"):
        await opened(s3.url("state").replace("@states/", "@absent/"), tmp_path)


async def test_keys_come_from_the_environment_of_aws(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = s3.url("state").partition("@")
    bare = f"s3://{url[2]}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="there are no keys"):
        await opened(bare, tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    async with await opened(bare, tmp_path) as store:
        await store.put("routes", "a", b"1")


async def test_a_gateway_keeps_its_state_in_s3(
    s3: S3Server, upstream: Upstream, tmp_path: Path
) -> None:
    environ = {"OTO_TRIO_STORE": s3.url("gateway")}
    async with (
        gateway_process("--workers", "1", data=tmp_path / "one", environ=environ) as gateway,
        admin(gateway) as api,
    ):
        created = await api.post(ROUTES, json=route("a", upstream.url))
        assert created.status_code == 201, created.text
    async with gateway_process("--workers", "1", data=tmp_path / "two", environ=environ) as gateway:

        async def is_served() -> bool:
            return (await ask(gateway.port, "a.test")).status == 200

        await eventually(is_served)
        assert not any(s3.secret in str(line) for line in gateway.log)
