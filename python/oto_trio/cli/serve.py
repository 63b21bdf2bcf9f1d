"""`oto-trio serve`: runs the gateway until a signal ends it."""

import ipaddress
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import click
import msgspec
import trio

from oto_trio.app import Announcement, serve
from oto_trio.cli.words import Integer
from oto_trio.control.configuration import Source
from oto_trio.control.declared import quick_route
from oto_trio.control.settings import Settings
from oto_trio.model.errors import GatewayError, Problem, SettingsError
from oto_trio.telemetry.logs import configure_logging

__all__ = ["command"]

_PORT = Integer(0, 65535)


@click.command()
@click.option(
    "--dev",
    is_flag=True,
    help="For a desk: Otoroshi's well-known admin key, and everything on loopback.",
)
@click.option(
    "--data",
    metavar="DIR",
    help="Folder of the embedded store, the admin key and user plugins.  [default: oto-data]",
)
@click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path), help="Configuration file."
)
@click.option(
    "--route",
    "quick_routes",
    metavar="FRONTEND=URL",
    multiple=True,
    help="A quick route, such as 'api.localhost/users=http://127.0.0.1:9000'. Repeatable.",
)
@click.option(
    "--workers",
    type=Integer(0, 1024),
    help="Gateway processes; 0 = inside the supervisor.  [default: one a core]",
)
@click.option("--bind", metavar="ADDRESS", help="Address of the gateway.  [default: 0.0.0.0]")
@click.option("--http-port", type=_PORT, help="Port of the gateway; 0 picks one.  [default: 8080]")
@click.option(
    "--https-port",
    type=_PORT,
    help="Port of the gateway for HTTPS; 0 picks one.  [default: no HTTPS]",
)
@click.option(
    "--admin-bind", metavar="ADDRESS", help="Address of the admin API.  [default: 127.0.0.1]"
)
@click.option(
    "--admin-port", type=_PORT, help="Port of the admin API; 0 picks one.  [default: 8081]"
)
@click.option(
    "--plugins",
    metavar="DIR",
    help="Folder of user plugins.  [default: plugins in the data folder]",
)
@click.option(
    "--drain-timeout",
    "drain_timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(0, 86400),
    help="How long exchanges in flight may take at the end.  [default: 10]",
)
@click.option(
    "--access-log",
    metavar="FILE",
    help="Write one JSON line an exchange; - is standard output.  [default: none]",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Form of the log and of the line that tells the addresses.  [default: text]",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Lowest level that is logged.  [default: info]",
)
def command(
    dev: bool,  # noqa: FBT001 (click passes flags so)
    config: Path | None,
    quick_routes: tuple[str, ...],
    **options: Any,
) -> None:
    """Run the gateway.

    Addresses are printed on standard output once it takes requests, as one JSON object with
    --log-format json; the log goes to standard error.

    Every option that sets something can also be given by an environment variable (--http-port is
    OTO_TRIO_HTTP_PORT) and by the configuration file. An option wins over a variable, and that over the
    file.

    \b
    Examples:
      oto-trio serve --dev --route 'api.localhost/users=http://127.0.0.1:9000'
      oto-trio serve --data /var/lib/oto-trio --config /etc/oto-trio.yaml
      oto-trio serve --dev --https-port 8443
      oto-trio serve --http-port 0 --admin-port 0 --log-format json

    \b
    Signals:
      SIGTERM, SIGINT  stop accepting, finish what is in flight, end; a second one ends at once
      SIGHUP           read the configuration file again
      SIGUSR2          replace the workers one by one, without a refused connection

    Exit codes: 0 after a drain, 1 when it could not start or had to give up, 2 for a wrong command line.
    """  # noqa: D301 (click reads the \b)
    for text in quick_routes:
        _, problems = quick_route(text)
        if problems:
            raise click.UsageError("\n".join(map(str, problems)))
    flags = {name: value for name, value in options.items() if value is not None}
    source = Source(config, {**_dev_flags(dev=dev), **flags}, quick_routes, os.environ)
    try:
        told = _Told(dev=dev)
        trio.run(
            partial(serve, source, announce=told.announce, on_settings=told.on_settings, dev=dev)
        )
    except* (GatewayError, OSError) as group:
        raise click.ClickException("\n".join(_messages(group))) from None


def _dev_flags(*, dev: bool) -> dict[str, object]:
    """Return the flags that `--dev` stands for; one that is given wins."""
    return {"bind": "127.0.0.1", "admin_bind": "127.0.0.1"} if dev else {}


def _check_loopback(*addresses: str) -> None:
    """Refuse to show the well-known admin key to anybody else.

    Raises:
        SettingsError: An address is not loopback.
    """
    problems: list[Problem] = []
    for address in addresses:
        try:
            is_loopback = ipaddress.ip_address(address).is_loopback
        except ValueError:
            is_loopback = address == "localhost"
        if not is_loopback:
            problems.append(
                Problem(
                    "--dev",
                    f"the well-known admin key must not be reachable on {address}",
                    "leave --bind and --admin-bind out, or --dev",
                )
            )
    if problems:
        raise SettingsError(problems)


class _Told:
    """What the gateway tells the command while it starts.

    Args:
        dev: Whether the well-known admin key is used.
    """

    def __init__(self, *, dev: bool) -> None:
        self._dev = dev
        self._as_json = False

    def on_settings(self, settings: Settings) -> None:
        """Set the log up.

        Raises:
            SettingsError: They must not be used with `--dev`.
        """
        if self._dev:
            _check_loopback(settings.bind, settings.admin_bind)
        self._as_json = settings.log_format == "json"
        configure_logging(
            settings.log_format, source="supervisor", level=settings.log_level.upper()
        )

    def announce(self, announcement: Announcement) -> None:
        """Tell on standard output where the gateway listens."""
        _announce(announcement, as_json=self._as_json)


def _announce(announcement: Announcement, *, as_json: bool) -> None:
    """Print where the gateway listens."""
    if as_json:
        line = {"event": "ready", **msgspec.structs.asdict(announcement)}
        click.echo(json.dumps(line))
        return
    workers = ", ".join(map(str, dict.fromkeys(announcement.workers)))
    click.echo("oto-trio is ready")
    click.echo(f"  gateway    {announcement.http}")
    if announcement.https is not None:
        click.echo(f"  HTTPS      {announcement.https}")
    click.echo(f"  admin API  {announcement.admin}")
    click.echo(f"  data       {announcement.data}")
    click.echo(f"  processes  {announcement.pid}, workers {workers}")
    click.echo(f"  admin key  {announcement.client_id}")
    if announcement.client_secret is not None:
        kept = (
            "well known, for development only"
            if announcement.credentials_file is None
            else f"shown this once, kept in {announcement.credentials_file}"
        )
        click.echo(f"  secret     {announcement.client_secret}  ({kept})")


def _messages(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    """Walk the messages of the errors in a group, each one once."""
    seen: set[str] = set()
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            messages = list(_messages(cast("BaseExceptionGroup[BaseException]", error)))
        else:
            messages = [str(error)]
        for message in messages:
            if message not in seen:
                seen.add(message)
                yield message
