"""A PostgreSQL server of the test's own: in a folder of its own, on a free port of loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Final

import psycopg
import pytest

from tests.integration.ports import free_port

__all__ = ["PostgresServer", "find_postgres"]

START_S: Final = 120.0
USER: Final = "oto"


def find_postgres() -> Path:
    """Return the folder of the newest installed server's programs."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: int(path.parts[-3]),
    )
    on_path = shutil.which("postgres")
    if found or on_path:
        return found[-1].parent if found else Path(str(on_path)).parent
    if os.environ.get("CI"):
        pytest.fail("no PostgreSQL server is installed; .ci/run installs the package postgresql")
    pytest.skip("no PostgreSQL server is installed (Debian's package postgresql)")


class PostgresServer:
    """A server that is started, killed and started again."""

    def __init__(self) -> None:
        self._bin = find_postgres()
        # Not pytest's folder: the server's user must be able to enter every folder above.
        self.folder = Path(tempfile.mkdtemp(prefix="oto-trio-pg-"))
        self.password = secrets.token_urlsafe(12)
        self._numbers = count()
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        if self._user is not None:
            for path in (self.folder, password_file):
                shutil.chown(path, self._user)
        subprocess.run(
            [
                str(self._bin / "initdb"), "--no-sync", "--username", USER, "--encoding", "UTF8",
                "--locale", "C.UTF-8", "--auth", "scram-sha-256", "--pwfile", str(password_file),
                "--pgdata", str(self.folder / "data"),
            ],
            check=True,
            capture_output=True,
            user=self._user,
            cwd=self.folder,
        )  # fmt: skip
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", password: str | None = None, query: str = "") -> str:
        """Return the url of a database."""
        secret = self.password if password is None else password
        return f"postgresql://{USER}:{secret}@127.0.0.1:{self.port}/{database}{query}"

    def new_database(self, name: str | None = None, encoding: str = "UTF8") -> str:
        """Make an empty database; return its url."""
        name = name or f"d{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(
                f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}' "
                "LC_COLLATE 'C' LC_CTYPE 'C'".encode()
            )
        return self.url(name)

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not ended by a test."""
        return self._process is not None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                str(self._bin / "postgres"), "-D", str(self.folder / "data"),
                "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                "-c", "unix_socket_directories=", "-c", "max_connections=60",
                "-c", "shared_buffers=16MB",
                # What a killed process had written stays with the kernel: only a power cut needs it.
                "-c", "fsync=off",
            ],
            stdout=log,
            stderr=log,
            user=self._user,
            cwd=self.folder,
        )  # fmt: skip
        log.close()
        deadline = time.perf_counter() + START_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.perf_counter() > deadline or self._process.poll() is not None:
                    pytest.fail((self.folder / "log").read_text())
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, at once: SIGINT breaks the connections, SIGKILL leaves a crash behind."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.wait(START_S)

    def kill(self) -> None:
        """Kill the server and each of its processes with SIGKILL, as a crash of the machine would."""
        self._halt_first()
        children = self._children()
        self.stop(signal.SIGKILL)
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                continue
        for child in children:
            while _state_of(child) not in _ENDED:
                time.sleep(0.01)

    def _halt_first(self) -> None:
        """Stop the first process, so that it starts no more of them."""
        assert self._process is not None, "it runs"
        self._process.send_signal(signal.SIGSTOP)
        while _state_of(str(self._process.pid)) not in ("T", *_ENDED):
            time.sleep(0.001)

    def _children(self) -> list[str]:
        """Return the processes of the server but the first."""
        assert self._process is not None, "it runs"
        pid = self._process.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def freeze(self) -> None:
        """Stop every process of the server, without an end: the kernel still takes what clients send."""
        self._halt_first()
        for pid in self._children():
            os.kill(int(pid), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None, "it runs"
        for pid in (str(self._process.pid), *self._children()):
            os.kill(int(pid), signal.SIGCONT)

    def remove(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


_ENDED: Final = ("Z", "X", "")


def _state_of(pid: str) -> str:
    """Return the letter of a process's state; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
