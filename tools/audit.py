"""Audit every dependency, Python and Rust: vulnerabilities, licences, sources, versions.

`make audit` runs this. Each check says what it found, and just as clearly what it could not look at:
without the public advisory databases the known vulnerabilities are NOT checked, and the rest still is.
Exit status: 0 nothing found, 1 a finding. A check that could not be made is no finding, unless
``--strict`` says that it is.
"""

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CARGO_DENY = ROOT / ".make" / "tools" / "bin" / "cargo-deny"
PIP_WAIT_S = 300.0
CARGO_DENY_WAIT_S = 300.0

# What ships with a gateway may carry these licences: all ask for a notice at most, but for MPL-2.0,
# which covers certifi's list of authorities and reaches no further than that file.
LICENCES = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
}  # fmt: skip
# Older packages name their licence in words only.
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
PINNED = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)([^\\]*)(.*)$")


@dataclass
class Check:
    """One question and its answer."""

    question: str
    looked_at: str = ""
    findings: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Pin:
    """One line of a lock file."""

    lock: str
    name: str
    version: str
    has_hash: bool
    conditional: bool


def read_pins() -> list[Pin]:
    """Every requirement of every lock file."""
    pins: list[Pin] = []
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8").replace("\\\n", "\\")
        for line in text.splitlines():
            if match := PINNED.match(line):
                name, version, marker, rest = match.groups()
                has_hash = "--hash=sha256:" in rest
                pins.append(Pin(path.name, name, version, has_hash, ";" in marker))
            elif line and not line.startswith("#"):
                pins.append(Pin(path.name, line, "not pinned", has_hash=False, conditional=False))
    return pins


def check_pins(pins: list[Pin]) -> Check:
    """Is every Python dependency pinned by version and hash, and is that what is installed?"""
    check = Check("python: pinned, hashed, and installed as locked")
    installed = 0
    for pin in pins:
        if not pin.has_hash:
            check.findings.append(f"{pin.lock}: {pin.name} {pin.version} has no hash")
        if pin.lock != "develop.txt":
            continue
        try:
            found = importlib.metadata.version(pin.name)
        except importlib.metadata.PackageNotFoundError:
            if not pin.conditional:
                check.findings.append(f"{pin.name} {pin.version} is locked but not installed")
            continue
        installed += 1
        if found != pin.version:
            check.findings.append(f"{pin.name} is locked at {pin.version}, installed is {found}")
    check.looked_at = f"{len(pins)} pins, {installed} installed packages"
    return check


def licences_of(name: str) -> list[set[str]]:
    """The alternatives a package may be used under, each a set that applies together."""
    metadata = importlib.metadata.metadata(name)
    expression = metadata.json.get("license_expression")
    if isinstance(expression, str):
        return [set(way.strip(" ()").split(" AND ")) for way in expression.split(" OR ")]
    words = [text.rpartition(":: ")[2] for text in metadata.get_all("Classifier") or []]
    return [{CLASSIFIERS[word]} for word in words if word in CLASSIFIERS]


def check_licences(pins: list[Pin]) -> Check:
    """May everything that ships with a gateway be shipped?"""
    check = Check("python: licences of what ships")
    shipped = [pin for pin in pins if pin.lock == "runtime.txt"]
    for pin in shipped:
        try:
            ways = licences_of(pin.name)
        except importlib.metadata.PackageNotFoundError:
            check.not_checked.append(f"{pin.name} is for another system and not installed here")
            continue
        if not any(way <= LICENCES for way in ways):
            found = " or ".join(" and ".join(sorted(way)) for way in ways) or "no known licence"
            check.findings.append(f"{pin.name} {pin.version}: {found}")
    check.looked_at = f"{len(shipped)} packages"
    return check


def check_yanked(pins: list[Pin]) -> Check:
    """Did an author take back a locked version? Asks the index, by a dry run of pip."""
    check = Check("python: versions taken back by their authors")
    looked_at = 0
    for lock in sorted({pin.lock for pin in pins} - {"runtime.txt"}):  # develop.txt holds it too
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
            "--no-deps", "--require-hashes", "--report=-", "-r", f"requirements/{lock}",
        ]  # fmt: skip
        try:
            packages: list[dict[str, Any]] = json.loads(run(command, PIP_WAIT_S).stdout)["install"]
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            check.not_checked.append(f"{lock}: the index cannot be reached")
            continue
        looked_at += len(packages)
        for package in packages:
            name, version = package["metadata"]["name"], package["metadata"]["version"]
            if "is_yanked" not in package:
                check.not_checked.append(f"{lock}: this pip is too old to know")
                break
            if package["is_yanked"]:
                check.findings.append(f"{lock}: {name} {version} was taken back")
    check.looked_at = f"{looked_at} packages"
    return check


def check_python_advisories(pins: list[Pin]) -> Check:
    """Is a vulnerability known in a locked Python package? Asks pip-audit.

    A package that the database does not answer for counts as not checked: pip-audit itself would
    call the run clean.
    """
    check = Check("python: known vulnerabilities")
    locks = sorted({pin.lock for pin in pins})
    arguments = [part for lock in locks for part in ("-r", f"requirements/{lock}")]
    command = [
        str(BIN / "pip-audit"), "--disable-pip", "--require-hashes", "--progress-spinner=off",
        "--format=json", *arguments,
    ]  # fmt: skip
    try:
        result = run(command, PIP_WAIT_S)
        answers: list[dict[str, Any]] = json.loads(result.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        check.not_checked.append("all of them: the advisory database cannot be reached")
        return check
    answered = [answer for answer in answers if "vulns" in answer]
    for answer in answered:
        for vulnerability in answer["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            check.findings.append(
                f"{answer['name']} {answer['version']}: {vulnerability['id']}, fixed in {fixed}"
            )
    check.looked_at = f"{len(answered)} packages" if answered else ""
    if unanswered := len(answers) - len(answered):
        check.not_checked.append(f"{unanswered} packages: the advisory database has no answer")
    return check


def check_rust(question: str, *subjects: str) -> Check:
    """Ask cargo-deny; deny.toml holds the rules."""
    check = Check(question)
    command = [str(CARGO_DENY), "--format=json", "--locked", "check", *subjects]
    try:
        result = run(command, CARGO_DENY_WAIT_S)
    except subprocess.TimeoutExpired:
        check.not_checked.append(f"cargo-deny gave no answer within {CARGO_DENY_WAIT_S:.0f} s")
        return check
    unreachable = re.search(
        r"fail\w* to (fetch|clone|open).*advisory", result.stderr, re.IGNORECASE
    )
    if unreachable and result.returncode != 0:
        check.not_checked.append("all of them: the advisory database cannot be reached")
        return check
    for line in result.stderr.splitlines():
        try:
            entry: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            continue
        fields: dict[str, Any] = entry.get("fields", {})
        if entry.get("type") == "diagnostic" and fields.get("severity") == "error":
            check.findings.append(f"{crates_of(fields)}: {fields['message']}")
    if result.returncode != 0 and not check.findings:
        check.findings.append(result.stderr.strip()[-500:])
    check.looked_at = f"Cargo.lock: {', '.join(subjects)}"
    return check


def crates_of(fields: dict[str, Any]) -> str:
    """The crates that a finding of cargo-deny is about."""
    graphs: list[dict[str, Any]] = fields.get("graphs", [])
    crates = [graph.get("Krate", {}) for graph in graphs]
    names = [f"{crate.get('name')} {crate.get('version')}" for crate in crates]
    return ", ".join(names) or "deny.toml"


def run(command: list[str], wait_s: float) -> subprocess.CompletedProcess[str]:
    """Run one tool in the repository's root and keep what it says."""
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=wait_s
    )


def main() -> int:
    """Make every check, print the answers, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--strict", action="store_true", help="what could not be checked counts as a finding"
    )
    strict: bool = parser.parse_args().strict
    pins = read_pins()
    checks = [
        check_pins(pins),
        check_licences(pins),
        check_yanked(pins),
        check_python_advisories(pins),
        check_rust("rust: licences, sources, bans, duplicates", "licenses", "sources", "bans"),
        check_rust("rust: known vulnerabilities, yanked crates", "advisories"),
    ]
    for check in checks:
        state = "FOUND" if check.findings else "ok" if check.looked_at else "not checked"
        print(f"{state:12} {check.question}{f' ({check.looked_at})' if check.looked_at else ''}")
        for finding in check.findings:
            print(f"             finding: {finding}")
        for gap in check.not_checked:
            print(f"             NOT CHECKED: {gap}")
    failed = any(check.findings or (strict and check.not_checked) for check in checks)
    gaps = sum(bool(check.not_checked) for check in checks)
    answer = "something was found" if failed else "nothing was found in what could be checked"
    print(f"audit: {answer}; questions with a gap: {gaps} of {len(checks)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
