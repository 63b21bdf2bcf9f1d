"""What is installed: every dependency locked with its hashes, and the Rust crates in their order."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PINNED = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^ ;\\]+)(?P<rest>.*)$")


def read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def read_lock(path: Path) -> dict[str, list[Version]]:
    """The locked versions by name; fails on a requirement without a hash."""
    locked: dict[str, list[Version]] = {}
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = PINNED.match(line)
        assert match, f"{path.name}: not pinned to one version: {line[:80]}"
        assert "--hash=sha256:" in line, f"{path.name}: {match['name']} has no hash"
        locked.setdefault(match["name"], []).append(Version(match["version"]))
    return locked


def wanted(root: Path, group: str) -> list[Requirement]:
    pyproject = read_toml(root / "pyproject.toml")
    groups: dict[str, list[str]] = pyproject["dependency-groups"]
    runtime: list[str] = pyproject["project"]["dependencies"]
    names = {"runtime": runtime, "develop": runtime + groups["develop"]}
    return [Requirement(text) for text in names.get(group) or groups[group]]


GROUPS = ["runtime", "develop", "bench", "load", "audit", "lock"]


@pytest.mark.parametrize("group", GROUPS)
def test_every_lock_file_holds_what_pyproject_asks_for(root: Path, group: str) -> None:
    locked = read_lock(root / "requirements" / f"{group}.txt")
    for requirement in wanted(root, group):
        versions = locked.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not locked: make lock"
        assert all(version in requirement.specifier for version in versions), requirement


def test_every_group_is_locked(root: Path) -> None:
    groups = set(read_toml(root / "pyproject.toml")["dependency-groups"])
    assert groups | {"runtime"} == set(GROUPS)
    assert {path.stem for path in (root / "requirements").glob("*.txt")} == set(GROUPS)


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "develop"])
def test_one_environment_can_hold_every_group(root: Path, group: str) -> None:
    develop = read_lock(root / "requirements" / "develop.txt")
    other = read_lock(root / "requirements" / f"{group}.txt")
    different = {name for name in develop.keys() & other.keys() if develop[name] != other[name]}
    assert different == set()


# Which of our crates, and which kinds of foreign ones, each crate may know.
RUST_ORDER = {
    "oto-core": set[str](),
    "oto-engine": {"oto-core"},
    "oto-py": {"oto-core", "oto-engine"},
}
WORLDLY = {"pyo3", "mio", "socket2", "libc", "tokio", "async-std", "smol", "rustls"}


@pytest.mark.parametrize("crate", RUST_ORDER)
def test_rust_crates_know_only_those_below(root: Path, crate: str) -> None:
    dependencies = set(read_toml(root / "rust" / crate / "Cargo.toml")["dependencies"])
    assert dependencies & RUST_ORDER.keys() == RUST_ORDER[crate]
    if crate == "oto-core":
        assert dependencies & WORLDLY == set(), "the core is bytes in, decisions out"
    if crate == "oto-engine":
        assert "pyo3" not in dependencies, "only the binding knows Python"


def test_no_second_event_loop_is_linked(root: Path) -> None:
    crates = {package["name"] for package in read_toml(root / "Cargo.lock")["package"]}
    assert crates & {"tokio", "async-std", "smol", "async-io"} == set()


def test_versions_agree(root: Path) -> None:
    python = read_toml(root / "pyproject.toml")
    rust = read_toml(root / "Cargo.toml")
    assert python["project"]["version"] == rust["workspace"]["package"]["version"]
    assert python["tool"]["towncrier"]["version"] == python["project"]["version"]
