"""`make audit` finds what it should, and never takes silence for an answer."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def audit(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("audit_script", root / "tools" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "audit_script", module)
    spec.loader.exec_module(module)
    return module


def answers(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, *, status: int, out: str = "", err: str = ""
) -> None:
    """Let every tool that the script runs answer this."""

    def run(command: list[str], wait_s: float) -> subprocess.CompletedProcess[str]:
        assert wait_s > 0, "no tool may run for ever"
        return subprocess.CompletedProcess(command, status, out, err)

    monkeypatch.setattr(audit, "run", run)


def pip_audit_says(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_pin_without_a_hash_is_found(audit: ModuleType) -> None:
    pin = audit.Pin("runtime.txt", "thing", "1.0", has_hash=False, conditional=False)
    assert audit.check_pins([pin]).findings == ["runtime.txt: thing 1.0 has no hash"]


def test_an_installed_version_other_than_the_locked_one_is_found(audit: ModuleType) -> None:
    pin = audit.Pin("develop.txt", "pytest", "0.1", has_hash=True, conditional=False)
    assert "pytest is locked at 0.1" in audit.check_pins([pin]).findings[0]


def test_a_licence_that_was_not_agreed_is_found(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = audit.Pin("runtime.txt", "trio", "1.0", has_hash=True, conditional=False)
    assert audit.check_licences([pin]).findings == []
    monkeypatch.setattr(audit, "LICENCES", {"ISC"})
    assert audit.check_licences([pin]).findings == ["trio 1.0: MIT or Apache-2.0"]


def test_a_vulnerability_is_found(audit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    vulnerable = {"id": "CVE-1", "fix_versions": ["2.0"]}
    said = pip_audit_says({"name": "thing", "version": "1.0", "vulns": [vulnerable]})
    answers(audit, monkeypatch, status=1, out=said)
    assert audit.check_python_advisories([]).findings == ["thing 1.0: CVE-1, fixed in 2.0"]


def test_a_package_that_the_database_does_not_know_was_not_checked(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(
        audit,
        monkeypatch,
        status=0,
        out=pip_audit_says({"name": "thing", "skip_reason": "unknown"}),
    )
    check = audit.check_python_advisories([])
    assert (check.looked_at, check.findings, len(check.not_checked)) == ("", [], 1)


def test_a_database_out_of_reach_is_said(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(
        audit,
        monkeypatch,
        status=1,
        err='{"message": "failed to fetch advisory database, no host"}',
    )
    assert "cannot be reached" in audit.check_python_advisories([]).not_checked[0]
    check = audit.check_rust("rust", "advisories")
    assert (check.looked_at, check.findings, len(check.not_checked)) == ("", [], 1)


def test_what_cargo_deny_refuses_is_found_with_its_crate(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    crate = {"Krate": {"name": "thing", "version": "1.0"}}
    fields = {"severity": "error", "message": "licence was not accepted", "graphs": [crate]}
    said = json.dumps({"type": "diagnostic", "fields": fields})
    answers(audit, monkeypatch, status=4, err=said)
    assert audit.check_rust("rust", "licenses").findings == ["thing 1.0: licence was not accepted"]


def test_a_failure_that_nobody_understands_is_a_finding(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(audit, monkeypatch, status=101, err="the tool fell over")
    assert audit.check_rust("rust", "bans").findings == ["the tool fell over"]


@pytest.mark.parametrize(
    ("findings", "not_checked", "arguments", "status"),
    [
        ([], [], [], 0),
        ([], ["a database"], [], 0),
        ([], ["a database"], ["--strict"], 1),
        (["a hole"], [], [], 1),
    ],
)
def test_the_exit_status_says_whether_something_was_found(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    findings: list[str],
    not_checked: list[str],
    arguments: list[str],
    status: int,
) -> None:
    check = audit.Check("question", "things", findings, not_checked)
    for name in ("check_pins", "check_licences", "check_yanked", "check_python_advisories"):
        monkeypatch.setattr(audit, name, lambda _pins: check)
    monkeypatch.setattr(audit, "check_rust", lambda *_subjects: check)
    monkeypatch.setattr(sys, "argv", ["audit.py", *arguments])
    assert audit.main() == status
    said = capsys.readouterr().out
    for line in findings + not_checked:
        assert line in said
