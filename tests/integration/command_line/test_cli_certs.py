"""`oto-trio certs` against a running gateway, and against the store of one that does not run."""

from __future__ import annotations

import functools
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from oto_trio.app import STORE_FILE
from oto_trio.control.certificates import CertificateStore, certificate_of
from oto_trio.control.store import SqliteStore
from oto_trio.pki import Authority, CsrQuery, KeyQuery, issue
from oto_trio.testing.gateway_process import gateway_process
from tests.integration.command_line import program

oto = functools.partial(program.invoked, "certs")
said = functools.partial(program.said, "certs")
refused = functools.partial(program.refused, "certs")


async def filled(folder: Path) -> None:
    """Makes a store with an authority under the id that `issue` takes by default."""
    folder.mkdir()
    async with await SqliteStore.open(folder / STORE_FILE) as store:
        certificates = CertificateStore(store)
        key = KeyQuery(algo="ecdsa", size=256)
        query = CsrQuery(subject="CN=Here", ca=True, key=key, duration=10 * 365 * 86_400_000)
        issued = issue(query, None, now=certificates.now())
        ca = certificate_of(issued, query, id="otoroshi-intermediate-ca")
        short = CsrQuery(hosts=("soon.localhost",), key=key, duration=3 * 86_400_000)
        above = Authority(issued.certificate, issued.key)
        leaf = issue(short, above, now=certificates.now())
        await certificates.save(ca, certificate_of(leaf, short, id="soon", ca_ref=ca.id))


@pytest.fixture
async def data(tmp_path: Path) -> str:
    folder = tmp_path / "data"
    await filled(folder)
    return str(folder)


@pytest.mark.slow
async def test_the_store_of_a_gateway_that_does_not_run(data: str, tmp_path: Path) -> None:
    await trio.to_thread.run_sync(functools.partial(walk_through, ("--data", data), tmp_path))


@pytest.mark.slow
async def test_a_gateway_that_runs(data: str, tmp_path: Path) -> None:
    async with gateway_process("--workers", "0", "--dev", data=Path(data)) as gateway:
        place = ("--admin", gateway.admin)
        await trio.to_thread.run_sync(functools.partial(walk_through, place, tmp_path))
        wrong = await trio.to_thread.run_sync(
            refused, "list", *place, "--client-id", "x", "--client-secret", "planted-secret"
        )
        assert "refuses the key (400); give --client-id and --client-secret" in wrong
        assert "planted-secret" not in wrong
        held = await trio.to_thread.run_sync(refused, "list", "--data", data)
        assert "is in use by another oto-trio" in held
        assert "--admin" in held


def walk_through(place: tuple[str, ...], folder: Path) -> None:
    """Does all that the command can do, in one place."""
    listed = said("list", *place).splitlines()
    assert listed[0].split() == ["EXPIRES", "TYPE", "ID", "DOMAIN"]
    assert listed[1].split()[-3:] == ["certificate", "soon", "soon.localhost"]
    near = oto("list", "--expiring", "5", *place)
    assert (near.exit_code, len(near.stdout.splitlines())) == (1, 2)
    assert oto("list", "--expiring", "1", *place).exit_code == 0

    assert said("create-ca", "CN=Our CA, O=Us", "--id", "our-ca", *place) == "our-ca\n"
    said("create-ca", "CN=Below, O=Us", "--below", "our-ca", "--id", "below", *place)
    made = said(
        *("issue", "api.localhost", "10.0.0.7", "--ca", "below", "--id", "api"),
        *("--days", "30", "--auto-renew", *place),
    )
    assert made == "api\n"
    by_default = said("issue", "b.localhost", *place).strip()
    assert len(by_default) == 32
    alone = said("issue", "--self-signed", "--client", "--subject", "CN=me", *place).strip()
    found = {one["id"]: one for one in json.loads(said("list", "--json", *place))}
    assert {"our-ca", "below", "api", by_default, alone} <= set(found)
    assert found["api"]["caRef"] == "below"
    assert found["api"]["autoRenew"] is True
    assert found["api"]["sans"] == ["api.localhost", "10.0.0.7"]
    assert found[by_default]["caRef"] == "otoroshi-intermediate-ca"
    assert (found[alone]["selfSigned"], found[alone]["client"]) == (True, True)
    assert all("privateKey" not in one for one in found.values())

    bring_in_and_take_out(place, folder, alone)


def bring_in_and_take_out(place: tuple[str, ...], folder: Path, alone: str) -> None:
    """The second half of that."""
    assert "there is no authority 'none'" in refused("issue", "a.b", "--ca", "none", *place)
    assert "is no authority" in refused("issue", "a.b", "--ca", "api", *place)
    assert "is no host name" in refused("issue", "a b", *place)
    assert "already" in refused("issue", "a.b", "--id", "api", *place)
    assert "is no part of a name" in refused("create-ca", "nonsense", *place)

    bundle, p12 = folder / "api.pem", folder / "api.p12"
    password = folder / "password.txt"
    password.write_text("s3cret word\n")
    said("export", "api", "--form", "bundle", "--out", str(bundle), *place)
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    assert "is there already" in refused("export", "api", "--out", str(bundle), *place)
    said(
        "export",
        "api",
        "--form",
        "p12",
        "--password-file",
        str(password),
        "--out",
        str(p12),
        *place,
    )
    chain, key = said("export", "api", *place), said("export", "api", "--form", "key", *place)
    assert chain.count("BEGIN CERTIFICATE") == 3
    assert "PRIVATE KEY" not in chain
    assert bundle.read_text() == key + chain
    cert = said("export", "api", "--form", "cert", *place)
    assert chain.startswith(cert)
    assert "there is no certificate 'none'" in refused("export", "none", *place)

    bring_back((bundle, p12, password), place, folder, alone)


def bring_back(files: tuple[Path, ...], place: tuple[str, ...], folder: Path, alone: str) -> None:
    """The last third."""
    bundle, p12, password = files
    chain, key = said("export", "api", *place), said("export", "api", "--form", "key", *place)
    assert said("import", str(bundle), "--id", "one", "--name", "mine", *place) == "one\n"
    said("import", str(p12), "--password-file", str(password), "--id", "two", *place)
    assert "its password is another" in refused("import", str(p12), *place)
    assert "choose another --id" in refused("import", str(bundle), "--id", "one", *place)
    said("import", str(bundle), "--id", "one", "--replace", "--name", "again", *place)
    found = {one["id"]: one for one in json.loads(said("list", "--json", *place))}
    assert (found["one"]["name"], found["two"]["name"]) == ("again", "api.localhost")
    assert said("export", "two", "--form", "key", *place) == key
    (folder / "other.key").write_text(said("export", alone, "--form", "key", *place))
    (folder / "api.crt").write_text(chain)
    mismatch = refused(
        "import", str(folder / "api.crt"), "--private-key", str(folder / "other.key"), *place
    )
    assert "belongs to no certificate of the chain" in mismatch
    garbage = folder / "garbage"
    garbage.write_bytes(b"\x30\x00garbage")
    assert "this is no PKCS#12 file" in refused("import", str(garbage), *place)
    garbage.write_bytes(b"\xff\xfe")
    assert "there is no certificate in this text" in refused("import", str(garbage), *place)


def test_a_wrong_command_line_ends_with_2(tmp_path: Path) -> None:
    for arguments in (
        ["list", "--data", str(tmp_path), "--admin", "http://127.0.0.1:1"],
        ["list", "--admin", "127.0.0.1"],
        ["export", "x", "--form", "p12"],
        ["import", str(tmp_path / "none.pem")],
        ["create-ca"],
        ["issue", "a.b", "--key", "dsa"],
    ):
        assert oto(*arguments).exit_code == 2, arguments


def test_a_place_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "there is no store at" in refused("list", "--data", str(tmp_path))
    assert "is the gateway running?" in refused("list", "--admin", "http://127.0.0.1:1")


async def test_a_server_name_on_an_authority_is_remarked_on(tmp_path: Path, data: str) -> None:
    for ca in (True, False):
        key = KeyQuery(algo="ecdsa", size=256)
        hosts, subject = ("own.localhost",), "CN=own.localhost"
        query = CsrQuery(hosts=hosts, subject=subject, ca=ca, key=key, duration=86_400_000)
        issued = issue(query, None, now=datetime.now(UTC))
        made = certificate_of(issued, query, id="own")
        file = tmp_path / f"own-{ca}.pem"
        file.write_text(made.chain + made.private_key)
        importing = functools.partial(oto, "import", str(file), "--data", data)
        done = await trio.to_thread.run_sync(importing)
        assert done.exit_code == 0, done.stderr
        assert ("never shown" in done.stderr) is ca
