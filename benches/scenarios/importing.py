"""import: a large configuration taken in, and started from."""

import json
import time
from typing import Any, ClassVar, Final

from typing_extensions import override

from benches import procfs
from benches.admin import AdminApi
from benches.contestant import Contestant
from benches.errors import InvalidRunError
from benches.job import Guard, Job, route_table
from benches.launch import on_core
from benches.measurement import MB, Sample
from benches.peers.oto_trio import route_document, security_entities
from benches.scenarios.scenario import Conditions, Scenario, load_facts, memory_facts
from benches.traffic import LoadCore
from oto_trio.model.api_key import ApiKey
from oto_trio.model.document import read_document, write_document
from oto_trio.model.route import Route

ROUTES: Final = 10_000
KEYS: Final = 100_000
FIRST: Final = 1_000_000
"""Number of the first imported route, beyond those that the bench starts with."""

SETTLE_S: Final = 0.5


class Import(Scenario):
    """An export with 10,000 routes and 100,000 API keys is imported, then the gateway starts again with it.

    Each route asks for a key and has a rate limit; documents are written out, as exports are. The import is
    timed until its answer, which says that everything is on disk and the worker serves it.
    The start is timed from the command to the first answer along the last of the routes.
    """

    name: ClassVar[str] = "import"
    summary: ClassVar[str] = (
        f"import of {ROUTES:,} routes and {KEYS:,} API keys until they are in force, then a start with them"
    )
    unit: ClassVar[str] = "import"
    fresh: ClassVar[bool] = True
    alone: ClassVar[bool] = True

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        routes = route_table(ROUTES, conditions.domains)
        job = Job(contestant.job.upstream_port, routes=routes, guard=Guard(api_keys=KEYS))
        body = export(job)

        def take_in() -> float:
            with AdminApi(contestant.admin_port) as admin, on_core(load.core):
                answer = admin.ask("POST", "/api/otoroshi.json?wait=applied&timeout=60000", body)
            if answer.json() != {"done": True}:
                raise InvalidRunError(f"the import was answered with {answer.json()}")
            return answer.seconds

        seconds, window = contestant.watch(take_in)
        after = memory_facts(contestant)
        start_s = contestant.restart(job)
        time.sleep(SETTLE_S)
        used = procfs.read_cpu(contestant.pids())
        return Sample(
            requests=1,
            seconds=seconds,
            cpu_ns=window.cpu_ns,
            cpu_source=window.cpu_source,
            p50_ms=None,
            p99_ms=None,
            resident_bytes=sum(contestant.resident().values()),
            extras={
                "body_mb": len(body) / MB,
                "import_s": seconds,
                "start_s": start_s,
                "start_cpu_s": used.ticks_ns / 1e9,
                **{f"after_import_{name}": value for name, value in after.items()},
            }
            | load_facts(window)
            | memory_facts(contestant),
        )


def export(job: Job) -> bytes:
    """Return a full export that holds a job's routes and keys, and nothing else; every key is written out."""
    routes: list[dict[str, Any]] = [
        route_document(FIRST + number, route, job) for number, route in enumerate(job.routes)
    ]
    keys = security_entities(job)["apikeys"]
    document = {
        "label": "Otoroshi export",
        "routes": [write_document(read_document(Route, route)) for route in routes],
        "apiKeys": [write_document(read_document(ApiKey, key)) for key in keys],
    }
    return json.dumps(document).encode()
