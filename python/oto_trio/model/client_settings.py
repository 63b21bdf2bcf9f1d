"""How the upstream client behaves: retries, breaker, timeouts and proxy.

Durations are milliseconds, as in Otoroshi's JSON.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from oto_trio.model.document import Document

__all__ = ["ClientSettings", "ConnectionCache", "CustomTimeouts", "UpstreamProxy", "Whole"]

Whole = Annotated[int, Meta(ge=0, le=2**53)]
"""A count or a duration: not negative, and exact in every JSON reader (RFC 8259 §6)."""


class UpstreamProxy(Document, frozen=True, kw_only=True):
    """An HTTP proxy between this gateway and the target; an empty object means none."""

    host: Annotated[str | UnsetType, Meta(description="host name of the proxy")] = UNSET
    port: Annotated[int | UnsetType, Meta(description="port of the proxy")] = UNSET
    protocol: Annotated[str | UnsetType | None, Meta(description="http or https")] = UNSET
    principal: Annotated[str | UnsetType | None, Meta(description="user name")] = UNSET
    password: Annotated[str | UnsetType | None, Meta(description="password")] = UNSET
    ntlm_domain: Annotated[str | UnsetType | None, Meta(description="NTLM domain")] = msgspec.field(
        default=UNSET, name="ntlmDomain"
    )
    encoding: Annotated[str | UnsetType | None, Meta(description="encoding of the credentials")] = (
        UNSET
    )
    non_proxy_hosts: Annotated[
        tuple[str, ...] | UnsetType | None, Meta(description="hosts reached without the proxy")
    ] = msgspec.field(default=UNSET, name="nonProxyHosts")

    def __post_init__(self) -> None:
        """Fill in the keys that Otoroshi writes once a host is set."""
        if self.host is UNSET:
            return
        for key in (
            "protocol",
            "principal",
            "password",
            "ntlm_domain",
            "encoding",
            "non_proxy_hosts",
        ):
            if getattr(self, key) is UNSET:
                msgspec.structs.force_setattr(self, key, None)


class CustomTimeouts(Document, frozen=True, kw_only=True):
    """Other timeouts for some paths of a backend, in milliseconds."""

    path: Annotated[str, Meta(description="wildcard pattern of the path they hold for")] = "*"
    call_timeout: Annotated[Whole, Meta(description="one attempt, up to the response head")] = 30000
    call_and_stream_timeout: Annotated[
        Whole, Meta(description="one attempt, up to the end of the response body")
    ] = 3600000
    connection_timeout: Annotated[Whole, Meta(description="connecting to the target")] = 10000
    idle_timeout: Annotated[Whole, Meta(description="silence on the connection")] = 60000
    global_timeout: Annotated[Whole, Meta(description="all attempts together")] = 30000

    def __post_init__(self) -> None:
        """Read a blank path as every path."""
        if not self.path.strip():
            msgspec.structs.force_setattr(self, "path", "*")


class ConnectionCache(Document, frozen=True, kw_only=True):
    """Otoroshi's cache of upstream connections; kept, the engine pools connections by itself."""

    enabled: Annotated[bool, Meta(description="use the cache")] = False
    queue_size: Annotated[Whole, Meta(description="calls that may wait for a connection")] = 2048


class ClientSettings(Document, frozen=True, kw_only=True):
    """How the upstream client behaves: retries, breaker and timeouts in milliseconds."""

    retries: Annotated[Whole, Meta(description="attempts in all; 1 means no retry")] = 1
    max_errors: Annotated[Whole, Meta(description="failures in a row that open the breaker")] = 20
    retry_initial_delay: Annotated[
        Whole, Meta(description="wait before the second attempt, ms")
    ] = 50
    backoff_factor: Annotated[Whole, Meta(description="growth of the wait per attempt")] = 2
    call_timeout: Annotated[Whole, Meta(description="one attempt, up to the response head, ms")] = (
        30000
    )
    call_and_stream_timeout: Annotated[
        Whole, Meta(description="one attempt, up to the end of the response body, ms")
    ] = 120000
    connection_timeout: Annotated[Whole, Meta(description="connecting to the target, ms")] = 10000
    idle_timeout: Annotated[Whole, Meta(description="silence on the connection, ms")] = 60000
    global_timeout: Annotated[Whole, Meta(description="all attempts together, ms")] = 30000
    sample_interval: Annotated[
        Whole, Meta(description="time until an open breaker lets one call through, ms")
    ] = 2000
    proxy: Annotated[UpstreamProxy, Meta(description="HTTP proxy towards the target")] = (
        UpstreamProxy()
    )
    custom_timeouts: Annotated[
        tuple[CustomTimeouts, ...], Meta(description="other timeouts for some paths")
    ] = ()
    cache_connection_settings: Annotated[
        ConnectionCache, Meta(description="Otoroshi's connection cache")
    ] = ConnectionCache()
