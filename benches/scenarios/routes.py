"""routes10, routes10k, routes100k: what finding the route costs, by the size of the table.

The number of domains is the same in all three (10 unless `--domains` says otherwise), so that
they differ in one thing only; requests are spread over all routes uniformly, in random order.
"""

from typing import ClassVar, Final

from typing_extensions import override

from benches.job import Job, route_table
from benches.scenarios.scenario import ClosedLoop, Conditions

REQUESTS: Final = 100_000

BASELINE: Final = "oto-trio-routes10"
"""Name under which oto-trio with ten routes runs beside itself with many."""


class Routes(ClosedLoop):
    """The plain traffic over a table of routes."""

    routes: ClassVar[int]

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        routes = route_table(self.routes, conditions.domains)
        return Job(upstream_port, routes=routes, requests=REQUESTS)

    @override
    def baseline(self, upstream_port: int, conditions: Conditions) -> tuple[str, Job] | None:
        if self.routes == Routes10.routes:
            return None
        return BASELINE, Routes10().job(upstream_port, conditions)


class Routes10(Routes):
    """Ten routes: the base that the others are compared with."""

    name: ClassVar[str] = "routes10"
    summary: ClassVar[str] = "plain over 10 routes"
    routes: ClassVar[int] = 10


class Routes10k(Routes):
    """Ten thousand routes."""

    name: ClassVar[str] = "routes10k"
    summary: ClassVar[str] = "plain over 10,000 routes, requests spread uniformly"
    routes: ClassVar[int] = 10_000


class Routes100k(Routes):
    """A hundred thousand routes."""

    name: ClassVar[str] = "routes100k"
    summary: ClassVar[str] = "plain over 100,000 routes, requests spread uniformly"
    routes: ClassVar[int] = 100_000
