"""The part of the static settings that says where a gateway listens, and for which protocols."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from oto_trio.control.addresses import ListenAddress, read_addresses
from oto_trio.control.admin_settings import AdminSettings
from oto_trio.control.supervisor.http_listeners import wanted_by_settings
from oto_trio.control.supervisor.unix_sockets import read_mode, read_owner
from oto_trio.model.errors import Problem
from oto_trio.model.stream_bounds import StreamBounds

__all__ = ["ListenSettings", "listen_problems"]

Port = Annotated[int, Meta(ge=0, le=65535)]
ExposedPort = Annotated[int, Meta(ge=1, le=65535)]


class ListenSettings(AdminSettings, frozen=True, kw_only=True):
    """Where a gateway listens."""

    bind: Annotated[
        str,
        Meta(
            description="addresses of the data listeners, separated by commas; :: takes IPv4 and IPv6, "
            "unix:PATH is a Unix socket for plain HTTP"
        ),
    ] = "0.0.0.0"  # noqa: S104 (a gateway is there to be reached)
    https_bind: Annotated[
        str | None,
        Meta(
            description="addresses for HTTPS, unix:PATH too; null = those of bind that are no Unix sockets"
        ),
    ] = None
    socket_mode: Annotated[
        str, Meta(description="permissions of the files of Unix sockets that are listened on")
    ] = "0660"
    socket_owner: Annotated[
        str | None,
        Meta(
            description="their owner as USER, USER:GROUP or :GROUP; null = who starts the gateway"
        ),
    ] = None
    http_port: Annotated[Port, Meta(description="port for plain HTTP; 0 picks a free one")] = 8080
    https_port: Annotated[
        Port | None, Meta(description="port for HTTPS; 0 picks a free one, null = no HTTPS")
    ] = None
    exposed_https_port: Annotated[
        ExposedPort | None,
        Meta(description="port clients reach HTTPS on; null = that of the listener"),
    ] = None
    http2: Annotated[bool, Meta(description="let clients speak HTTP/2")] = True
    h2c: Annotated[
        bool, Meta(description="also without TLS, to those that know and begin with its preface")
    ] = True
    http3: Annotated[
        bool | None, Meta(description="let clients speak HTTP/3; null = when http3_port is set")
    ] = None
    http3_port: Annotated[
        Port | None,
        Meta(description="UDP port for HTTP/3; 0 picks a free one, null = that of https_port"),
    ] = None
    http3_exposed_port: Annotated[
        ExposedPort | None,
        Meta(description="UDP port clients reach HTTP/3 on; null = that of the listener"),
    ] = None
    http3_early_data: Annotated[
        bool,
        Meta(description="let clients of HTTP/3 that return send safe requests at once (0-RTT)"),
    ] = False
    stream_bounds: Annotated[
        StreamBounds,
        Meta(description="what a client may ask of a connection of HTTP/2 or HTTP/3, by name"),
    ] = StreamBounds()
    admin_bind: Annotated[
        str, Meta(description="address of the admin API; unix:PATH is a Unix socket")
    ] = "127.0.0.1"
    admin_port: Annotated[Port, Meta(description="port of the admin API; 0 picks a free one")] = (
        8081
    )

    http_listeners: Annotated[
        tuple[dict[str, Any], ...],
        Meta(
            description="more listeners, each with the keys of config of an HTTP listener and an id"
        ),
    ] = ()

    @property
    def plain_addresses(self) -> tuple[ListenAddress, ...]:
        """Where plain HTTP is listened for; raises `ValueError` when `bind` cannot be read."""
        return read_addresses(self.bind)

    @property
    def secured_addresses(self) -> tuple[ListenAddress, ...]:
        """Where HTTPS is listened for, none without it; raises `ValueError` as `plain_addresses` does."""
        if self.https_bind is not None:
            return read_addresses(self.https_bind)
        if self.https_port is None:
            return ()
        return tuple(address for address in self.plain_addresses if not address.path)

    @property
    def wants_http3(self) -> bool:
        """Whether clients shall be let speak HTTP/3."""
        return self.http3_port is not None if self.http3 is None else self.http3

    @property
    def http3_addresses(self) -> tuple[ListenAddress, ...]:
        """Where HTTP/3 is listened for, none without it; raises `ValueError` as `plain_addresses` does."""
        if not self.wants_http3:
            return ()
        secured = self.secured_addresses or self.plain_addresses
        return tuple(address for address in secured if not address.path)

    @property
    def admin_address(self) -> ListenAddress:
        """Where the admin API listens; raises `ValueError` when `admin_bind` is not one address."""
        match read_addresses(self.admin_bind, names=True):
            case (one,):
                return one
            case _:
                raise ValueError(f"{self.admin_bind!r} is more than one address; give one")


def listen_problems(settings: ListenSettings) -> list[Problem]:
    """Return what is wrong with where a gateway shall listen."""
    problems = list(_doubled_ports(settings))
    if (wrong := settings.stream_bounds.problem) is not None:
        key, why, fix = wrong
        problems.append(Problem(f"$.settings.stream_bounds.{key}", why, fix))
    problems += [
        msgspec.structs.replace(problem, path=f"$.settings.http_listeners{problem.path}")
        for problem in wanted_by_settings(settings.http_listeners)[1]
    ]
    readers: dict[str, Callable[[], object]] = {
        "bind": lambda: settings.plain_addresses,
        "https_bind": lambda: settings.secured_addresses,
        "admin_bind": lambda: settings.admin_address,
        "socket_mode": lambda: read_mode(settings.socket_mode),
        "socket_owner": lambda: read_owner(settings.socket_owner),
    }
    for name, read in readers.items():
        try:
            read()
        except ValueError as error:
            if name == "https_bind" and settings.https_bind is None:
                continue  # those of bind, which are told already
            told, _, fix = str(error).partition("; ")
            problems.append(Problem(f"$.settings.{name}", told, fix or "correct it"))
    return problems or list(_unfit(settings))


def _doubled_ports(settings: ListenSettings) -> Iterator[Problem]:
    """Find ports that are given twice, among those that some address goes with."""
    used: dict[int, str] = {}
    for name, read in (
        ("http_port", lambda: settings.plain_addresses),
        ("https_port", lambda: settings.secured_addresses),
        ("admin_port", lambda: (settings.admin_address,)),
    ):
        port: int | None = getattr(settings, name)
        if not port or not _needs_port(read):
            continue
        if port in used:
            yield Problem(
                f"$.settings.{name}",
                f"port {port} is that of {used[port]} already",
                "choose another port, or 0 to get a free one",
            )
        used[port] = name


def _needs_port(read: Callable[[], tuple[ListenAddress, ...]]) -> bool:
    """Whether some of these addresses is no Unix socket; what cannot be read is told elsewhere."""
    try:
        return any(not address.path for address in read())
    except ValueError:
        return True


def _unfit(settings: ListenSettings) -> Iterator[Problem]:
    """Find addresses that do not go together."""
    secured = settings.secured_addresses
    if settings.https_port is not None and not secured:
        yield Problem(
            "$.settings.https_port",
            "bind names Unix sockets only, so there is no address for the port",
            "give https_bind an address, or unix:PATH for HTTPS over a Unix socket",
        )
    if settings.https_port is None and any(not address.path for address in secured):
        yield Problem(
            "$.settings.https_bind", "it names an address without a port", "set https_port"
        )
    if settings.wants_http3 and not settings.http3_addresses:
        yield Problem(
            "$.settings.http3" if settings.http3 else "$.settings.http3_port",
            "HTTP/3 is UDP, and the addresses of HTTPS are Unix sockets only",
            "give https_bind, or bind without it, an IP address; or leave HTTP/3 out",
        )
    paths = [
        address.path
        for address in (*settings.plain_addresses, *secured, settings.admin_address)
        if address.path
    ]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield Problem(
            "$.settings.bind",
            f"the Unix socket {path} is named twice",
            "give each a path of its own",
        )
