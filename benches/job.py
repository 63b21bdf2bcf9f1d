"""What every proxy of a scenario is asked to do, in words that fit all of them."""

import functools
from dataclasses import dataclass
from typing import Final, Literal

PluginKind = Literal["inline", "async"]

HOST: Final = "bench.test"
"""Domain of the scenarios that have one route."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route: requests for `domain` whose path begins with `prefix` go to the upstream as they are."""

    domain: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Job:
    """The configuration that a proxy gets.

    Attributes:
        upstream_port: Port of the upstream, on 127.0.0.1.
        routes: Never empty. A request that fits none of them is to be answered with 404.
        plugin: A user plugin in the plan of oto-trio's routes; the peers go without.
        streams: Whether request bodies may be large, so that a proxy that would store a request
            before it forwards it has to be told not to.
    """

    upstream_port: int
    routes: tuple[Route, ...] = (Route(HOST, "/"),)
    plugin: PluginKind | None = None
    streams: bool = False

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
