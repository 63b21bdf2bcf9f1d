"""The tree that the rules in this folder are about: what git tracks, seen from the repository's root."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every tracked file that exists, as a path relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    files = [Path(name) for name in listing.split("\0") if name and (ROOT / name).is_file()]
    assert len(files) > 20, "git ls-files found next to nothing: is this a checkout?"
    return files


@pytest.fixture(scope="session")
def texts(tracked: list[Path]) -> dict[Path, str]:
    """The tracked files that are text, with what they say."""
    found: dict[Path, str] = {}
    for path in tracked:
        try:
            found[path] = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found
