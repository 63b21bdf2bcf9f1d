"""What every worker is told when it is started, besides its slot and its sockets; made of the static settings."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from oto_trio.control.settings import Settings, expression_settings
from oto_trio.control.supervisor.listening import Listener
from oto_trio.gateway.frames import ListenerWays
from oto_trio.jq.bounds import JqBounds
from oto_trio.model.stream_bounds import StreamBounds

__all__ = ["WorkerSettings", "worker_settings"]


class WorkerSettings(msgspec.Struct, frozen=True):
    """What every worker is told in `Start`, besides its slot and its sockets.

    Attributes:
        engine: JSON for the engine's constructor.
        plugin_folder: The folder with user plugins, empty when there is none.
        drain_timeout_s: Drain deadline of a worker that is asked to end by a signal of its own.
        forward_records: Whether access records are wanted.
        log_format: `text` or `json`.
        log_level: A `logging` level name.
        health_access_key: Key the health probes ask for; None leaves them open.
        metrics_access_key: Key the metrics page asks for; None leaves it open.
        client_auth: Whether clients of the listeners of the settings need a certificate; see `ListenerWays`.
        http2: Whether they may speak HTTP/2.
        h2c: Whether they may without TLS too.
        makes_certificates: Whether certificates are made for all unknown server names; see `Start`.
        https_port: The port under which clients reach the gateway with TLS; see `Start`.
        http3_exposed_port: The one under which they reach those of the settings over HTTP/3; None without that.
        http3_early_data: Whether clients may send requests with their first packets; see `Start`.
        ticket_secret: What TLS session tickets are locked with; see `Start`.
        expressions: What expressions may read in every route; see `Start`.
        shared_key: The installation's key of the exchange protocol; see `Start`.
        mounts: Applications that routes may have called; see `Start`.
        stream_bounds: What clients of HTTP/2 and HTTP/3 may ask of a connection; see `Start`.
        jq: What filters may use; see `Start`.
    """

    engine: bytes = b"{}"
    plugin_folder: str = ""
    drain_timeout_s: float = 10.0
    forward_records: bool = False
    log_format: str = "text"
    log_level: str = "INFO"
    health_access_key: str | None = None
    metrics_access_key: str | None = None
    client_auth: str = "Dynamic"
    http2: bool = True
    h2c: bool = True
    makes_certificates: bool = False
    https_port: int | None = None
    http3_exposed_port: int | None = None
    http3_early_data: bool = False
    ticket_secret: bytes = b""
    expressions: bytes = b"{}"
    mounts: tuple[str, ...] = ()
    stream_bounds: StreamBounds = StreamBounds()
    jq: JqBounds = JqBounds()
    shared_key: str | None = None

    def ways(self, listener: Listener) -> ListenerWays:
        """Return what clients may speak on a listener: what it says itself, or what the settings say."""
        if listener.ways is not None:
            return listener.ways
        if listener.is_datagrams:
            exposed = self.http3_exposed_port
            return ListenerWays(
                secured=True, client_auth=self.client_auth, http1=False, exposed_port=exposed
            )
        http2 = self.http2 and (listener.secured or self.h2c)
        return ListenerWays(listener.secured, self.client_auth, http2=http2)


def worker_settings(
    settings: Settings,
    folder: Path,
    ticket_secret: bytes,
    listeners: Sequence[Listener],
    *,
    dev: bool,
) -> WorkerSettings:
    """Return what workers are told.

    Args:
        settings: The static settings.
        folder: Where user plugins are.
        ticket_secret: What TLS session tickets are locked with.
        listeners: The sockets of the settings, for the ports under which clients find what.
        dev: Whether certificates are made for all unknown server names.
    """
    return WorkerSettings(
        engine=settings.engine_json,
        plugin_folder=str(folder.absolute()),
        drain_timeout_s=settings.drain_timeout_s,
        log_format=settings.log_format,
        log_level=settings.log_level.upper(),
        health_access_key=settings.health_access_key,
        metrics_access_key=settings.metrics_access_key,
        client_auth=settings.client_auth,
        http2=settings.http2,
        mounts=settings.mounts,
        stream_bounds=settings.stream_bounds,
        jq=settings.jq,
        h2c=settings.h2c,
        makes_certificates=dev,
        https_port=_exposed_https_port(settings, listeners),
        http3_exposed_port=_http3_exposed_port(settings, listeners),
        http3_early_data=settings.http3_early_data,
        ticket_secret=ticket_secret,
        expressions=expression_settings(settings, os.environ),
        shared_key=settings.claim_shared_key,
    )


def _exposed_https_port(settings: Settings, listeners: Sequence[Listener]) -> int | None:
    """Return the port under which clients find HTTPS; None when nobody says."""
    if settings.exposed_https_port is not None:
        return settings.exposed_https_port
    return next((it.address[1] for it in listeners if _is_https(it)), None)


def _http3_exposed_port(settings: Settings, listeners: Sequence[Listener]) -> int | None:
    """Return the port under which clients find HTTP/3; None without it."""
    bound = next((it.address[1] for it in listeners if it.is_datagrams), None)
    return bound if bound is None else settings.http3_exposed_port or bound


def _is_https(listener: Listener) -> bool:
    """Whether a listener is a port for HTTPS."""
    return listener.secured and listener.path is None and not listener.is_datagrams
