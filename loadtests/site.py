"""The gateway under test: one of our own on free ports, or one that runs already.

Either way the routes are made through its admin API, lead to a backend of our own, and are gone afterwards;
their ids begin with `loadtest-`.
"""

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.errors import LoadTestError

__all__ = ["ROUTES", "Key", "Site", "own_gateway", "route", "running_gateway"]

ROUTES: Final = "/apis/proxy.otoroshi.io/v1/routes"
MARK: Final = "loadtest-"
END_S: Final = 15.0
"""How long a process may take to end by itself."""
CALL_S: Final = 10.0
"""How long the admin API may take."""


@dataclass(frozen=True)
class Key:
    """A key of the admin API."""

    client_id: str
    secret: str

    @property
    def header(self) -> str:
        """The value of the header `Authorization`."""
        pair = f"{self.client_id}:{self.secret}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True)
class Site:
    """Where a load test takes place.

    Attributes:
        gateway: URL of the gateway.
        admin: URL of its admin API.
        key: The key for it.
        upstream: URL of the backend.
    """

    gateway: str
    admin: str
    key: Key
    upstream: str

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make one call of the admin API and return the decoded answer.

        Raises:
            LoadTestError: It does not answer, or not with success.
        """
        request = urllib.request.Request(
            self.admin + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self.key.header, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=CALL_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")
            message = f"the admin API answers {method} {path} with {error.code}: {said}"
            raise LoadTestError(message) from None
        except OSError as error:
            message = f"the admin API at {self.admin} does not answer: {error}"
            raise LoadTestError(message) from None
        return json.loads(text) if text else None

    @contextlib.contextmanager
    def serving(self, *names: str) -> Iterator[None]:
        """Have routes for `NAME.loadtest.localhost` for the length of a block."""
        self.remove_routes()
        try:
            for name in names:
                self.call("POST", f"{ROUTES}?wait=applied", route(name, self.upstream))
            yield
        finally:
            self.remove_routes()

    def remove_routes(self) -> None:
        """Remove every route that a load test has made."""
        for document in self.call("GET", f"{ROUTES}?fields=id"):
            if document["id"].startswith(MARK):
                self.call("DELETE", f"{ROUTES}/{document['id']}?wait=applied")


def route(name: str, upstream: str, version: str = "1") -> dict[str, Any]:
    """Return a route for `NAME.loadtest.localhost` that tells its version in each answer."""
    return {
        "id": f"{MARK}{name}",
        "name": f"load test: {name}",
        "frontend": {"domains": [f"{name}.loadtest.localhost"]},
        "backend": {"url": upstream},
        "plugins": [
            {
                "plugin": "cp:otoroshi.next.plugins.AdditionalHeadersOut",
                "config": {"headers": {"X-Version": version}},
            }
        ],
    }


@contextlib.contextmanager
def own_gateway(workers: int) -> Iterator[Site]:
    """Run a gateway with a data folder of its own for the length of a block.

    Raises:
        LoadTestError: It does not start, or did not end as it should.
    """
    with tempfile.TemporaryDirectory(prefix="oto-trio-load-") as folder, upstream() as behind:
        log = Path(folder) / "gateway.log"
        command = [
            *(sys.executable, "-m", "oto_trio", "serve", "--data", str(Path(folder) / "data")),
            *("--bind", "127.0.0.1", "--http-port", "0", "--admin-port", "0"),
            *("--workers", str(workers), "--log-format", "json"),
        ]
        with log.open("wb") as sink, announced(command, sink, log) as (process, told):
            key = Key(told["client_id"], told["client_secret"])
            yield Site(told["http"], told["admin"], key, behind)
            if process.poll() is not None:
                raise LoadTestError(f"the gateway ended:\n{log.read_text()}")
        if process.returncode != 0:
            raise LoadTestError(f"the gateway did not drain:\n{log.read_text()}")


@contextlib.contextmanager
def running_gateway(gateway: str, admin: str, key: Key) -> Iterator[Site]:
    """Use a gateway that runs, with a backend of our own, for the length of a block.

    Raises:
        LoadTestError: Its admin API does not answer.
    """
    with upstream() as behind:
        site = Site(gateway, admin, key, behind)
        site.call("GET", f"{ROUTES}/_count")
        yield site


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """Run the backend for the length of a block and return its URL."""
    command = [sys.executable, "-m", "loadtests.upstream"]
    with announced(command, None, None) as (_, told):
        yield told["url"]


@contextlib.contextmanager
def announced(
    command: list[str], sink: Any, log: Path | None
) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """Run a process that tells in one line of JSON where it listens; end it with the block."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=sink,
        text=True,
        process_group=0,  # Ctrl-C is for us, and we end it in order
        env={name: value for name, value in os.environ.items() if not name.startswith("OTO_TRIO_")},
    )
    assert process.stdout is not None, "it was opened with a pipe"
    try:
        line = process.stdout.readline()
        if not line:
            said = log.read_text() if log else ""
            raise LoadTestError(f"{command[2]} did not start:\n{said}")
        yield process, json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
