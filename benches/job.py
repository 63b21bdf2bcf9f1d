"""What every proxy of a scenario is asked to do, in words that fit all of them."""

import functools
from dataclasses import dataclass
from typing import Final, Literal

from benches.credentials import key_id, key_secret, signer

PluginKind = Literal["inline", "async"]

HOST: Final = "bench.test"
"""Domain of the scenarios that have one route."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route: requests for `domain` whose path begins with `prefix` go to the upstream as they are."""

    domain: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Guard:
    """What a request must bring, besides what a proxy logs of it.

    Attributes:
        api_keys: How many API keys there are; each request brings one of them.
        token: Algorithm of the JSON Web Token it brings as well; None for no token.
        rate: Requests a second that are let through; far above what is sent, or 0 for none.
    """

    api_keys: int = 1
    token: Literal["HS256", "RS256", "ES256"] | None = None
    rate: int = 10_000_000

    def fields(self, number: int = 0) -> tuple[str, ...]:
        """Return the header fields of a request with one of the keys."""
        fields = (
            f"Otoroshi-Client-Id: {key_id(number)}",
            f"Otoroshi-Client-Secret: {key_secret(number)}",
        )
        if self.token is None:
            return fields
        return (*fields, f"Authorization: Bearer {signer(self.token).token}")


@dataclass(frozen=True, slots=True)
class Job:
    """The configuration that a proxy gets.

    Attributes:
        upstream_port: Port of the upstream, on 127.0.0.1.
        routes: Never empty. A request that fits none of them is to be answered with 404.
        plugin: A user plugin in the plan of oto-trio's routes; the peers go without.
        streams: Whether request bodies may be large, so that a proxy that would store a request
            before it forwards it has to be told not to.
        tls: Whether clients speak TLS, with the certificate of `benches.credentials`.
        http2: Whether they speak HTTP/2, by ALPN; then `tls` is so, too.
        http3: Whether they speak HTTP/3, on the UDP port of the same number; then `tls` is so, too.
        grpc: Whether what is asked are gRPC calls, and the upstream speaks HTTP/2 without TLS.
        tcp: Whether the proxy passes on what connections carry, and reads none of it.
        websocket: Whether clients open WebSockets.
        guard: What requests must bring; for a peer without such checks, nothing.
        requests: How many requests the load walks through at least. Jobs that are compared walk
            through equally many: a long list costs the load cache lines, and with them the pace at
            which it keeps a proxy busy.
        workers: How many processes oto-trio's gateway has; the peers always have one.
    """

    upstream_port: int
    routes: tuple[Route, ...] = (Route(HOST, "/"),)
    plugin: PluginKind | None = None
    streams: bool = False
    tls: bool = False
    http2: bool = False
    http3: bool = False
    grpc: bool = False
    tcp: bool = False
    websocket: bool = False
    guard: Guard | None = None
    requests: int = 0
    workers: int = 1

    def by_domain(self) -> dict[str, list[str]]:
        """Return the prefixes of each domain, in order."""
        domains: dict[str, list[str]] = {}
        for route in self.routes:
            domains.setdefault(route.domain, []).append(route.prefix)
        return domains


@functools.cache
def route_table(count: int, domains: int) -> tuple[Route, ...]:
    """Return `count` routes spread evenly over `domains` domains.

    Paths look like a company's: teams of a hundred services each. None begins like another, so
    that it does not matter how a proxy understands a prefix.

    Raises:
        ValueError: there are fewer routes than domains, or no domain.
    """
    if not 1 <= domains <= count:
        message = f"{count} routes cannot be spread over {domains} domains"
        raise ValueError(message)
    return tuple(
        Route(
            f"api{number % domains}.{HOST}",
            f"/team{number // domains // 100}/service{number // domains % 100:02}/",
        )
        for number in range(count)
    )
