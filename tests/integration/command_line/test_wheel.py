"""The wheel: installed in an empty virtual environment, it is a whole gateway.

The engine inside is the one that `make build` compiled, so that this builds a wheel in seconds; `make wheel`
differs from it by the profile alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest
import trio

if TYPE_CHECKING:
    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[3]
GUARD_S: Final = 900
"""A fresh machine downloads the runtime dependencies first, and one that is busy may compile all of the engine again."""


async def run(*command: str | Path, environment: dict[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed; its failure is the test's."""
    done = await trio.run_process(
        [str(word) for word in command],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout.decode()


async def build(folder: Path) -> Path:
    """Build the wheel into a folder, as `make wheel` does but with the profile of `make build`."""
    built = list((ROOT / ".make").glob("built-*"))
    profile = built[0].name.removeprefix("built-") if built else "dev-release"
    await run(
        *(Path(sys.executable).with_name("maturin"), "build", "--quiet", "--strip"),
        *("--profile", profile, "--interpreter", sys.executable, "--out", folder),
        # Everything is in Cargo.lock and was fetched for the build before.
        *("--locked", "--offline"),
        environment={"PYO3_PYTHON": sys.executable},
    )
    (wheel,) = folder.glob("oto_trio-*.whl")
    return wheel


async def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel and the locked runtime dependencies in a new environment; return its bin."""
    await run(sys.executable, "-m", "venv", "--without-pip", folder)
    # The pip of this environment works on the other one, whose own would take seconds to unpack.
    pip = (sys.executable, "-m", "pip", "--python", folder, "install", "--quiet", "--no-compile")
    await run(*pip, "--require-hashes", "-r", ROOT / "requirements" / "runtime.txt")
    await run(*pip, "--no-index", "--no-deps", wheel)
    return folder / "bin"


async def test_the_wheel_runs_a_gateway_in_an_empty_environment(
    upstream: Upstream, tmp_path: Path
) -> None:
    with trio.fail_after(GUARD_S):
        wheel = await build(tmp_path)
        assert "-cp311-abi3-" in wheel.name
        names = zipfile.ZipFile(wheel).namelist()
        assert {"oto_trio/_core.abi3.so", "oto_trio/_core.pyi", "oto_trio/py.typed"} <= set(names)
        assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]

        programs = await install(wheel, tmp_path / "environment")
        assert (await run(programs / "oto-trio", "version")).startswith("oto-trio ")
        # Nothing of this checkout helps it: neither its folder nor its packages are on the path.
        where = await run(
            *(programs / "python", "-I", "-c", "import oto_trio; print(oto_trio.__file__)")
        )
        assert Path(where.strip()).is_relative_to(tmp_path)
        await serve(programs / "oto-trio", upstream, tmp_path / "data")


async def serve(program: Path, upstream: Upstream, data: Path) -> None:
    """Start the gateway, have it proxy a request, and drain it."""
    command = [
        *(str(program), "serve", "--data", str(data), "--bind", "127.0.0.1"),
        *("--http-port", "0", "--admin-port", "0", "--log-format", "json"),
        *("--route", f"api.localhost/users={upstream.url}"),
    ]
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
                cwd=data.parent,
            )
        )
        assert process.stdout is not None
        told = b""
        while not told.endswith(b"\n"):
            piece = await process.stdout.receive_some()
            assert piece, f"the gateway ended: {process.returncode}"
            told += piece
        async with httpx.AsyncClient() as client:
            url = json.loads(told)["http"]
            answer = await client.get(f"{url}/users/7", headers={"Host": "api.localhost"})
        assert (answer.status_code, answer.text) == (200, "GET /7 HTTP/1.1")
        assert len(upstream.heads) == 1
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
