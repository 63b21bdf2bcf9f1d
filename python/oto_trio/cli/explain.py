"""`oto-trio explain`: which route takes a request, why the others do not, and what happens to it then."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import click
import msgspec

from oto_trio import _core
from oto_trio.cli.at_rest import data_option
from oto_trio.cli.entities import Entities, from_admin_api, from_config, from_data
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES
from oto_trio.gateway.compile import (
    DerivedRoute,
    Hooks,
    RouteCompiler,
    Surroundings,
    derive_routes,
    unjudged,
)
from oto_trio.gateway.compile.derived import with_own_id
from oto_trio.gateway.derived_routes import free_id
from oto_trio.model.errors import EntityError
from oto_trio.plugin_api.folder import FolderPlugins, with_folder
from oto_trio.plugin_api.registry import discover

__all__ = ["command"]


@click.command()
@click.argument("method")
@click.argument("url")
@click.option(
    "-H",
    "--header",
    "headers",
    metavar="'NAME: VALUE'",
    multiple=True,
    help="A header of the request. Repeatable.",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the routes from a configuration file.",
)
@data_option
@click.option("--admin", metavar="URL", help="Take the routes from a running gateway's admin API.")
@click.option("--client-id", help="Id of the admin API's key.  [default: the well-known one]")
@click.option("--client-secret", help="Its secret.  [default: the well-known one]")
@click.option(
    "--plugins",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of user plugins.",
)
@click.option("--listener", default="standard-listener", show_default=True, help="The listener.")
@click.option("--exclusive", is_flag=True, help="The listener serves only what is bound to it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    method: str,
    url: str,
    headers: tuple[str, ...],
    folder: Path | None,
    listener: str,
    exclusive: bool,
    as_json: bool,
    **places: Any,
) -> None:
    """Say what becomes of a request, and why. No request is made.

    Shows the route that takes it and why each other candidate does not, each step of its plan, and the
    target it would be sent to. The routes come from --config, --data or --admin; without any, from the
    admin API on 127.0.0.1:8081.

    Ends with 1 when no route takes the request.

    \b
    Examples:
      oto-trio explain GET http://api.localhost/users/1 --config gateway.yaml
      oto-trio explain POST https://api.localhost/users -H 'X-Tier: gold' --admin http://127.0.0.1:8081
      oto-trio explain GET http://api.localhost/users --data env:OTO_TRIO_STORE
    """  # noqa: D301 (click reads the \b)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise click.UsageError(
            f"{url!r} is no URL; write it like http://api.localhost/users?page=2"
        )
    target = parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    fields = [_header(text) for text in headers]
    snapshot, owners = _snapshot(_entities(**places), folder)
    try:
        answer = snapshot.explain(
            method,
            parts.netloc,
            target,
            fields,
            secured=parts.scheme == "https",
            listener=listener,
            exclusive=exclusive,
        )
    except ValueError as error:
        raise click.ClickException(f"the gateway refuses such a request: {error}") from None
    named = [*answer["routing"]["candidates"], *([answer["route"]] if "route" in answer else [])]
    for one in named:
        if one is not None and one["id"] in owners:
            one["of"] = owners[one["id"]]
    click.echo(json.dumps(answer) if as_json else "\n".join(_lines(answer)))
    if answer["routing"]["winner"] is None:
        raise click.exceptions.Exit(1)


def _header(text: str) -> tuple[str, str]:
    """Take `Name: value` apart."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.UsageError(f"{text!r} is no header; write it like 'X-Tier: gold'")
    return name.strip(), value.strip()


def _entities(
    *,
    config: Path | None,
    data: str | None,
    admin: str | None,
    client_id: str | None,
    client_secret: str | None,
) -> Entities:
    """Read the entities from the place that was named."""
    if sum(place is not None for place in (config, data, admin)) > 1:
        raise click.UsageError("give only one of --config, --data and --admin")
    if config is not None:
        return from_config(config)
    if data is not None:
        return from_data(data)
    return from_admin_api(admin or "http://127.0.0.1:8081", client_id, client_secret)


def _snapshot(entities: Entities, folder: Path | None) -> tuple[_core.Snapshot, dict[str, str]]:
    """Compile the routes, and what becomes routes, as a worker would; one the engine refuses is told and left out.

    Returns:
        The snapshot, and of routes that other entities mean these entities, by the ids of the routes.
    """
    registry = discover()
    if folder is not None:
        registry = with_folder(registry, FolderPlugins(folder).poll())
    compiler = RouteCompiler(registry, Hooks(), entities.global_config, resolve=unjudged)
    snapshot = _core.Snapshot()
    for route in entities.routes:
        lowered = compiler.compile(route, entities.backends)
        for problem in lowered.problems:
            click.echo(f"route {route.id}: {problem}", err=True)
        try:
            snapshot = snapshot.apply([lowered.document], [])
        except ValueError as error:
            click.echo(f"route {route.id} is left out: {error}", err=True)
    owners: dict[str, str] = {}
    for derived, owner in _derived(entities, Surroundings(registry.__contains__, unjudged)):
        owners[derived.route.id] = owner
        if derived.closed is not None:
            lowered = compiler.compile_closed(derived.route, derived.closed)
        else:
            lowered = compiler.compile(derived.route, entities.backends)
        for problem in dict.fromkeys((*derived.problems, *lowered.problems)):
            click.echo(f"route {derived.route.id}: {problem}", err=True)
        try:
            snapshot = snapshot.apply([lowered.document], [])
        except ValueError as error:
            click.echo(f"route {derived.route.id} is left out: {error}", err=True)
    if entities.global_config is not None:
        settings = {"trust_x_forwarded": entities.global_config.trust_x_forwarded}
        snapshot = snapshot.apply([], [], json.dumps(settings).encode())
    return snapshot, owners


def _derived(entities: Entities, surroundings: Surroundings) -> Iterator[tuple[DerivedRoute, str]]:
    """Walk the routes that services and compositions mean, each with what it comes from.

    One whose id is taken gets a ``~``.
    """
    plurals = {row.store_kind: row.plural for row in LEGACY_RESOURCES}
    taken = {route.id for route in entities.routes}
    for kind, document in entities.others:
        try:
            derived = derive_routes(kind, document, surroundings)
        except EntityError as error:
            click.echo(str(error), err=True)
            continue
        owner = f"{plurals[kind]} {_id_of(document)}"
        for each in derived:
            own_id = free_id(each.route.id, taken)
            taken.add(own_id)
            if own_id == each.route.id:
                yield each, owner
            else:
                own = with_own_id(each.route, own_id)
                yield msgspec.structs.replace(each, route=own), owner


def _id_of(document: object) -> object:
    """Return the id of an entity; None when it is none."""
    return cast("dict[str, Any]", document).get("id") if isinstance(document, dict) else None


def _lines(answer: dict[str, Any]) -> list[str]:
    """Show an explanation to people."""
    request, routing = answer["request"], answer["routing"]
    query = f"?{request['query']}" if request["query"] else ""
    lines = [f"{request['method']} {request['host']}{request['path']}{query}", "", "candidates"]
    for candidate in routing["candidates"]:
        loss = candidate["loss"]
        verdict = "takes it" if loss is None else f"no: {loss['detail']} ({loss['code']})"
        owner = f"  of {candidate['of']}" if "of" in candidate else ""
        lines.append(f"  {candidate['id']}{owner}  {candidate['declared']}  {verdict}")
    if not routing["candidates"]:
        lines.append(f"  none: no route is declared on a domain that matches {request['domain']}")
    if routing.get("truncated"):
        lines.append("  and more")
    if routing["winner"] is None:
        return [*lines, "", "no route takes it: 404 no route found !"]
    winner = routing["winner"]
    lines += ["", f"route  {answer['route']['id']}  ({answer['route']['name']})"]
    if "of" in answer["route"]:
        lines.append(f"  it is what {answer['route']['of']} means")
    lines.append(f"  matched path  {winner['matched_path'] or '/'}")
    for name, value in winner["params"]:
        lines.append(f"  parameter     {name} = {value}")
    lines += ["", "plan"]
    for number, step in enumerate(answer["plan"], 1):
        how = "native" if step["native"] else "Python"
        skipped = "" if step["runs"] else "  (does not run for this request)"
        detail = "" if step["detail"] is None else f"  {json.dumps(step['detail'])}"
        lines.append(
            f"  {number:>2}  {step['phase']:<18} {step['kind']:<20} {how:<6}  {step['plugin']}"
            f"{detail}{skipped}"
        )
    target, upstream = answer.get("target"), answer.get("upstream")
    lines += ["", "target"]
    if target is None:
        lines.append("  none: the route has no target that can be used (503)")
    else:
        scheme = "https" if target["tls"] else "http"
        lines.append(
            f"  {scheme}://{target['address']}  (one of the backend's, chosen per request)"
        )
    if upstream is not None:
        lines.append(f"  {upstream['method']} {upstream['target']}  Host: {upstream['host']}")
    return lines
