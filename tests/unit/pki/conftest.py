"""Authorities that the tests of this room share, and openssl, which judges what is made."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from oto_trio.pki import Authority, CsrQuery, Issued, KeyQuery, issue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ECDSA = KeyQuery(algo="ecdsa", size=256)
TEN_YEARS_MS = 10 * 365 * 86_400_000


@pytest.fixture
def openssl(tmp_path: Path) -> Callable[..., str]:
    """Runs openssl; arguments that hold PEM become files. Its output, or the failure of the test."""
    program = shutil.which("openssl")
    assert program is not None, "these tests need openssl: apt-get install openssl"

    def run(*arguments: str | bytes) -> str:
        words: list[str] = []
        for number, argument in enumerate(arguments):
            if isinstance(argument, bytes) or "-----BEGIN" in argument:
                file = tmp_path / f"file{number}"
                content = argument if isinstance(argument, bytes) else argument.encode()
                file.write_bytes(content)
                words.append(str(file))
            else:
                words.append(argument)
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def made_root(subject: str = "CN=Root, O=Test") -> Issued:
    query = CsrQuery(subject=subject, ca=True, key=ECDSA, duration=TEN_YEARS_MS)
    return issue(query, None, now=NOW)


def authority(issued: Issued) -> Authority:
    return Authority(issued.certificate, issued.key, issued.issuers)


@pytest.fixture(scope="session")
def root() -> Issued:
    return made_root()


@pytest.fixture(scope="session")
def intermediate(root: Issued) -> Issued:
    query = CsrQuery(subject="CN=Intermediate, O=Test", ca=True, key=ECDSA, duration=TEN_YEARS_MS)
    return issue(query, authority(root), now=NOW)


@pytest.fixture(scope="session")
def leaf(intermediate: Issued) -> Issued:
    query = CsrQuery(hosts=("api.localhost", "*.api.localhost", "127.0.0.1"), key=ECDSA)
    return issue(query, authority(intermediate), now=NOW)
