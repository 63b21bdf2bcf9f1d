"""`oto-trio serve`: runs the gateway until a signal ends it."""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import click
import msgspec
import trio
from typing_extensions import override

from oto_trio.app import Announcement, serve
from oto_trio.cli.options import dev_flags, given_flags, setting_options
from oto_trio.control.addresses import ListenAddress
from oto_trio.control.configuration import Source
from oto_trio.control.declared import quick_route
from oto_trio.control.settings import Settings
from oto_trio.model.errors import GatewayError, Problem, SettingsError
from oto_trio.telemetry.logs import configure_logging, say_last

__all__ = ["command"]


@click.command()
@setting_options
def command(
    dev: bool,
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
      oto-trio serve --bind unix:/run/oto-trio/http.sock
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
    flags = {**dev_flags(dev=dev), **given_flags(options)}
    source = Source(config, flags, quick_routes, os.environ)
    try:
        told = _Told(dev=dev)
        trio.run(
            partial(serve, source, announce=told.announce, on_settings=told.on_settings, dev=dev)
        )
    except* (GatewayError, OSError) as group:
        raise _EndedError("\n".join(_messages(group))) from None


class _EndedError(click.ClickException):
    """Why the gateway ended."""

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        """Tell it behind the log, and wait no longer for who reads that than the log does."""
        if not say_last(f"Error: {self.format_message()}"):
            super().show(file)


def _check_loopback(*addresses: ListenAddress) -> None:
    """Refuse to show the well-known admin key to anybody else.

    Raises:
        SettingsError: An address is not loopback.
    """
    problems = [
        Problem(
            "--dev",
            f"the well-known admin key must not be reachable on {address.host}",
            "leave --bind and --admin-bind out, or --dev",
        )
        for address in dict.fromkeys(addresses)
        if not address.is_loopback
    ]
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
            _check_loopback(
                *settings.plain_addresses, *settings.secured_addresses, settings.admin_address
            )
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
    if announcement.http3 is not None:
        click.echo(f"  HTTP/3     {announcement.http3}")
    for other in announcement.others:
        click.echo(f"  also       {other}")
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
    if announcement.admin_login is not None:
        click.echo(f"  admin      {announcement.admin_login}")
    if announcement.admin_password is not None:
        click.echo(f"  password   {announcement.admin_password}  (shown this once)")
    elif announcement.admin_password_file is not None:
        click.echo(
            f"  password   in {announcement.admin_password_file}, which the next start removes"
        )


def _messages(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    """Walk the messages of the errors in a group, each one once."""
    seen: set[str] = set()
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            messages = list(_messages(cast("BaseExceptionGroup[BaseException]", error)))
        else:
            # The number in front of an error of the system says nothing to people.
            told = error.strerror if isinstance(error, OSError) and not error.filename else None
            messages = [told or str(error)]
        for message in messages:
            if message not in seen:
                seen.add(message)
                yield message
