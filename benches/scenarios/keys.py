"""keys100k: what an API key costs among 100,000, on 10,000 routes."""

from typing import ClassVar, Final

from typing_extensions import override

from benches.job import Guard, Job, route_table
from benches.scenarios.scenario import ClosedLoop, Conditions

KEYS: Final = 100_000

FEW: Final = "oto-trio-keys10"
"""Name under which oto-trio with ten keys and ten routes runs beside itself with many."""


class Keys100k(ClosedLoop):
    """Every request brings another of the keys to another of the routes."""

    name: ClassVar[str] = "keys100k"
    summary: ClassVar[str] = "API key and quota on plain HTTP, 100,000 keys and 10,000 routes"

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        routes = route_table(10_000, conditions.domains)
        return Job(upstream_port, routes=routes, guard=Guard(api_keys=KEYS), requests=KEYS)

    @override
    def baseline(self, upstream_port: int, conditions: Conditions) -> tuple[str, Job] | None:
        routes = route_table(10, conditions.domains)
        return FEW, Job(upstream_port, routes=routes, guard=Guard(api_keys=10), requests=KEYS)
