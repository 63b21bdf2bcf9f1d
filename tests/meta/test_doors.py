"""The ways in: make verbs, commit hooks, continuous integration and the README's two commands."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

# `make help` must keep listing these: docs, hooks and people's fingers rely on them.
VERBS = {
    "setup", "build", "serve", "test", "check", "fmt", "lint", "types", "stubtest", "arch", "docs",
    "wheel", "audit", "bench", "load", "fuzz", "news", "clean", "help",
}  # fmt: skip


@pytest.fixture(scope="session")
def listed_verbs(root: Path) -> set[str]:
    """What `make help` shows."""
    shown = subprocess.run(["make", "help"], cwd=root, capture_output=True, check=True, text=True)
    return set(re.findall(r"^  ([a-z-]+) ", shown.stdout, re.MULTILINE))


def test_help_lists_every_verb(root: Path, listed_verbs: set[str]) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    phony = {
        verb
        for line in re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
        for verb in line.split()
    }
    assert phony == listed_verbs
    assert phony >= VERBS


def test_continuous_integration_is_make_test(root: Path) -> None:
    script = root / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "it is called as a program"
    assert script.read_text(encoding="utf-8").rstrip().splitlines()[-1] == "exec make test"


def test_test_runs_every_check(root: Path) -> None:
    plan = subprocess.run(
        ["make", "--dry-run", "test"], cwd=root, capture_output=True, check=True, text=True
    ).stdout
    for command in (
        "cargo fmt --all --check", "cargo clippy", "--deny warnings", "cargo test",
        "ruff format --check", "ruff check", "mypy python", "pyright", "mypy.stubtest oto_trio._core",
        "lint-imports", "sphinx-build", "--fail-on-warning",
    ):  # fmt: skip
        assert command in plan
    assert "pytest" in plan.rstrip().splitlines()[-1], "its summary is the last thing to be read"


def test_readme_opens_with_the_two_commands(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert "make serve" in readme
    assert "make test" in readme


def test_every_commit_hook_is_a_make_verb(root: Path, listed_verbs: set[str]) -> None:
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"], "hooks work offline"
    entries = [hook["entry"].split() for repo in config["repos"] for hook in repo["hooks"]]
    assert entries
    for program, *verbs in entries:
        assert program == "make"
        assert set(verbs) <= listed_verbs


def test_a_missing_tool_is_named_in_one_line(root: Path, tmp_path: Path) -> None:
    needed = ["bash", "sed", "head", "awk", "sort", "dirname"]
    for name in needed:
        found = subprocess.run(["which", name], capture_output=True, check=True, text=True)
        (tmp_path / name).symlink_to(found.stdout.strip())
    result = subprocess.run(
        [str(tmp_path / "bash"), str(root / "tools" / "preflight")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert [line.split(": ")[1].split()[0].rstrip(",") for line in lines] == [
        "python3",
        "cargo",
        "cc",
    ]
    assert "apt install python3" in lines[0]
