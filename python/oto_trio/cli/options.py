"""The options that are settings, which `serve` and `config show` have in common."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from oto_trio.cli.words import Integer

__all__ = ["dev_flags", "given_flags", "setting_options"]

_F = TypeVar("_F", bound=Callable[..., Any])

_PORT: Final = Integer(0, 65535)

_OPTIONS: Final = (
    click.option(
        "--dev",
        is_flag=True,
        help="For a desk: Otoroshi's well-known admin key, and everything on loopback.",
    ),
    click.option(
        "--data",
        metavar="DIR",
        help="Folder of the embedded store, the admin key and user plugins.  [default: oto-data]",
    ),
    click.option(
        "--store",
        metavar="URL",
        help="Another store: postgresql://, redis://, cassandra://, file://, s3://, ... Other users of the machine "
        "see options, so give passwords as $OTO_TRIO_STORE.  [default: embedded, in the data folder]",
    ),
    click.option(
        "--config", metavar="FILE", type=click.Path(path_type=Path), help="Configuration file."
    ),
    click.option(
        "--route",
        "quick_routes",
        metavar="FRONTEND=URL",
        multiple=True,
        help="A quick route, such as 'api.localhost/users=http://127.0.0.1:9000'. Repeatable.",
    ),
    click.option(
        "--workers",
        type=Integer(0, 1024),
        help="Gateway processes; 0 = inside the supervisor.  [default: one a core]",
    ),
    click.option(
        "--bind",
        metavar="ADDRESS,...",
        help="Addresses of the gateway; unix:PATH is a Unix socket.  [default: 0.0.0.0]",
    ),
    click.option(
        "--http-port", type=_PORT, help="Port of the gateway; 0 picks one.  [default: 8080]"
    ),
    click.option(
        "--https-port",
        type=_PORT,
        help="Port of the gateway for HTTPS; 0 picks one.  [default: no HTTPS]",
    ),
    click.option(
        "--http3-port",
        type=_PORT,
        help="UDP port of the gateway for HTTP/3; 0 picks one.  [default: no HTTP/3]",
    ),
    click.option(
        "--admin-bind",
        metavar="ADDRESS",
        help="Address of the admin API; unix:PATH is a Unix socket.  [default: 127.0.0.1]",
    ),
    click.option(
        "--admin-port", type=_PORT, help="Port of the admin API; 0 picks one.  [default: 8081]"
    ),
    click.option(
        "--plugins",
        metavar="DIR",
        help="Folder of user plugins.  [default: plugins in the data folder]",
    ),
    click.option(
        "--drain-timeout",
        "drain_timeout_s",
        metavar="SECONDS",
        type=click.FloatRange(0, 86400),
        help="How long exchanges in flight may take at the end.  [default: 10]",
    ),
    click.option(
        "--access-log",
        metavar="FILE",
        help="Write one JSON line an exchange, or connection of a TCP service; - is standard output.  [default: none]",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        help="Form of the log and of the line that tells the addresses.  [default: text]",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Lowest level that is logged.  [default: info]",
    ),
)


def setting_options(function: _F) -> _F:
    """Give a command every option that is a setting, and those that say where others are."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def given_flags(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, by the name of their setting."""
    return {name: value for name, value in options.items() if value is not None}


def dev_flags(*, dev: bool) -> dict[str, object]:
    """Return the flags that `--dev` stands for; one that is given wins."""
    return {"bind": "127.0.0.1", "admin_bind": "127.0.0.1"} if dev else {}
