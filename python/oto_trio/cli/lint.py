"""`oto-trio lint`: what is legal in a configuration, and dangerous or not meant."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import click
import msgspec

from oto_trio.cli.places import DEFAULT_PLACE, Gathered, gather, with_key
from oto_trio.control.lint import RULES, SEVERITIES, Finding, Ground, run_rules
from oto_trio.plugin_api.folder import FolderPlugins, with_folder
from oto_trio.plugin_api.registry import discover

__all__ = ["command"]

CODES = sorted(rule.code for rule in RULES)


@click.command()
@click.argument("place", default=DEFAULT_PLACE)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json prints one list of findings.",
)
@click.option(
    "--ignore",
    "ignored",
    metavar="CODE",
    multiple=True,
    type=click.Choice(CODES),
    help="Do not look for this. Repeatable.",
)
@click.option(
    "--fail-on",
    type=click.Choice([*SEVERITIES, "never"]),
    default="error",
    show_default=True,
    help="End with 1 for findings of this severity or a worse one.",
)
@click.option(
    "--plugins",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of user plugins that the routes may use.  [default: as the place says]",
)
@click.option("--rules", is_flag=True, help="List the rules and end.")
@with_key
def command(
    place: str,
    form: str,
    ignored: tuple[str, ...],
    fail_on: str,
    folder: Path | None,
    rules: bool,
    **key: str | None,
) -> None:
    """Find what is legal, and dangerous or not meant.

    PLACE is a configuration file, a folder of them, the data folder of a gateway that is not running, the URL of
    a store, env:NAME for the environment variable that holds one, or the URL of a running gateway's admin API;
    without one http://127.0.0.1:8081.

    Finds routes that no request reaches and routes without authentication, secrets in clear, plugins in an
    order that undoes them, expired certificates, unverified targets, weak secrets and more. An entity is
    spared a rule by its code in the metadata `oto-trio-lint-ignore`. No secret is ever shown.

    \b
    Examples:
      oto-trio lint gateway.yaml
      oto-trio lint conf/ --fail-on warning --ignore api-key-never-expires
      oto-trio lint http://127.0.0.1:8081 --client-id ID --client-secret SECRET --format json
      oto-trio lint --rules

    Exit codes: 0 nothing as bad as --fail-on, 1 there is, 2 the command line is wrong, or the place cannot
    be read.
    """  # noqa: D301 (click reads the \b)
    if rules:
        for rule in RULES:
            click.echo(f"{rule.code:<32} {rule.severity:<8} {rule.summary}")
        return
    gathered = gather(place, **key)
    findings = _findings(gathered, folder or gathered.plugins, ignored)
    if form == "json":
        click.echo(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            click.echo(_shown(finding))
        click.echo(_summary(gathered, findings), err=True)
    bad = SEVERITIES[: SEVERITIES.index(fail_on) + 1] if fail_on in SEVERITIES else ()
    if any(finding.severity in bad for finding in findings):
        raise click.exceptions.Exit(1)


def _findings(gathered: Gathered, folder: Path | None, ignored: tuple[str, ...]) -> list[Finding]:
    """Ask every rule; what could not even be read as an entity comes first."""
    registry = discover()
    if folder is not None:
        registry = with_folder(registry, FolderPlugins(folder).poll())
    ground = Ground(gathered.items, registry, now_ms=time.time_ns() // 1_000_000)
    unread = [
        Finding(p.severity, "document-invalid", "", "", p.path, p.message, p.fix, gathered.name)
        for p in gathered.problems
        if "document-invalid" not in ignored
    ]
    return [*unread, *run_rules(ground, ignored)]


def _shown(finding: Finding) -> str:
    """Show a finding to people, on two lines."""
    what = f"{finding.kind} {finding.id}: " if finding.kind else f"{finding.where}: "
    return (
        f"{finding.severity}: {what}{finding.field}: {finding.why} [{finding.code}]\n"
        f"    fix: {finding.fix}"
    )


def _summary(gathered: Gathered, findings: list[Finding]) -> str:
    """Count entities and findings."""
    counts = Counter(finding.severity for finding in findings)
    told = ", ".join(
        f"{counts[s]} {s}{'s' if counts[s] != 1 and s != 'info' else ''}" for s in SEVERITIES
    )
    return f"{gathered.name}: {len(gathered.items)} entities, {told}"
