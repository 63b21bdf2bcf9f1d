"""How commands show what changes, and ask before they change it."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from oto_trio.cli.admin_client import OutdatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

T = TypeVar("T")

__all__ = [
    "CHANGES_CODE",
    "Shown",
    "change_options",
    "detailed_codes",
    "entity_lines",
    "traffic_lines",
]

SIGNS: Final = {"created": "+", "deleted": "-", "updated": "~", "added": "+", "removed": "-"}

MOST_ATTEMPTS: Final = 8
"""How often a command looks again when others change the same gateway."""

CHANGES_CODE: Final = 2
"""The exit code of ``--detailed-exitcode`` for changes, as tools of this kind have it."""

_OPTIONS: Final = (
    click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing."),
    click.option("--yes", "-y", is_flag=True, help="Do not ask before the change."),
    click.option(
        "--message", "-m", default="", help="Why: it is remembered in the history.", metavar="TEXT"
    ),
    click.option(
        "--detailed-exitcode",
        "detailed",
        is_flag=True,
        help="End with 0 when there is nothing to change, 2 when there is, 1 when it failed.",
    ),
)


def change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that change a gateway."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@contextmanager
def detailed_codes(*, is_wanted: bool) -> Generator[None]:
    """Let errors end with 1 where 2 stands for changes."""
    try:
        yield
    except click.ClickException as error:
        if not is_wanted or isinstance(error, click.UsageError):
            raise
        raise click.ClickException(error.message) from None


class Shown:
    """What would change, shown once, and again only when others make it something else.

    Args:
        is_sure: Whether nobody is to be asked (``--yes``).
    """

    def __init__(self, *, is_sure: bool) -> None:
        self._is_sure = is_sure
        self._lines: list[str] | None = None
        self._is_asked = is_sure

    def show(self, lines: Iterable[str]) -> bool:
        """Print what would change, unless it was printed already; returns whether it was now."""
        now = list(lines)
        if now == self._lines:
            return False
        if self._lines is not None:
            click.echo("others changed the configuration meanwhile; now it would be:")
        for line in now:
            click.echo(line)
        self._lines, self._is_asked = now, self._is_sure
        return True

    def confirm(self, question: str) -> None:
        """Ask before what was shown is done; without anybody to ask, ``--yes`` must be given.

        Raises:
            ClickException: There is nobody to ask.
            Abort: The answer is no.
        """
        if not self._is_asked:
            _ask(question)
        self._is_asked = True

    def until_settled(self, attempt: Callable[[], T]) -> T:
        """Look and change, and start over when others were quicker, `MOST_ATTEMPTS` times at most.

        Raises:
            OutdatedError: They always were.
        """
        for _ in range(MOST_ATTEMPTS - 1):
            try:
                return attempt()
            except OutdatedError:
                continue
        return attempt()


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException("nothing was changed: there is nobody to ask; give --yes")
    click.confirm(question, abort=True)


def entity_lines(entities: list[dict[str, Any]], left_out: int = 0) -> Iterator[str]:
    """Show what becomes of entities, by field."""
    for entity in entities:
        yield f"{SIGNS[entity['change']]} {entity['kind']} {entity['id']}"
        for field in entity.get("fields", []):
            yield f"    {field['path']}"
            for sign, key in (("-", "before"), ("+", "after")):
                if key in field:
                    yield f"      {sign} {json.dumps(field[key], ensure_ascii=False)}"
        if entity.get("fields_left_out"):
            yield f"    and {entity['fields_left_out']} fields more"
    if left_out:
        yield f"and {left_out} entities more"


def traffic_lines(traffic: dict[str, Any] | None) -> Iterator[str]:
    """Show what a change means for requests."""
    if not traffic:
        return
    owners: dict[str, str] = traffic.get("owners", {})
    if traffic["requests"]:
        yield "requests that another route takes:"
    for moved in traffic["requests"]:
        before, after = (_called(moved[key], owners) for key in ("before", "after"))
        yield f"    {_request(moved['request'])}: {before} -> {after}"
    if traffic["plans"]:
        yield "routes that do something else:"
    for plan in traffic["plans"]:
        sample = f" ({_request(plan['request'])})" if plan.get("request") else ""
        yield f"    {_called(plan['route'], owners)}{sample}"
        for step in plan.get("steps", []):
            sign = SIGNS.get(step["change"], "~")
            yield f"      {sign} {step['phase']} {step['kind']} {step['plugin']}"
        if plan.get("targets"):
            before, after = (", ".join(addresses) or "none" for addresses in plan["targets"])
            yield f"      targets {before} -> {after}"
        if plan.get("also"):
            yield f"      also: {', '.join(plan['also'])}"
    if traffic["routes_left_out"]:
        yield f"and {traffic['routes_left_out']} changed routes more, which were not looked into"


def _called(route_id: str | None, owners: dict[str, str]) -> str:
    """Name a route, and the entity that means it."""
    if route_id is None:
        return "none (404)"
    return f"{route_id} (of {owners[route_id]})" if route_id in owners else route_id


def _request(request: dict[str, Any]) -> str:
    headers = "".join(f" {name}: {value}" for name, value in request.get("headers", []))
    return f"{request['method']} {request['url']}{headers}"
