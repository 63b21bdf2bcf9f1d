"""kill -9 of the control process while clients write, on each durable store; see `control_crashes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.stores.control_crashes import STORES, kill_again_and_again

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Upstream
    from tests.integration.stores.cassandra_server import CassandraServer
    from tests.integration.stores.postgres_server import PostgresServer

pytestmark = pytest.mark.slow

KILLS = dict.fromkeys(STORES, 5) | {"cassandra": 2}
"""How often; a gateway and its client of Cassandra take longer to start."""


@pytest.mark.parametrize("kind", STORES)
async def test_every_acknowledged_write_survives_kill_9_of_the_control_process(
    kind: str,
    upstream: Upstream,
    tmp_path: Path,
    postgres: PostgresServer,
    cassandra: CassandraServer,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    report, writers = await kill_again_and_again(
        kind, KILLS[kind], tmp_path, postgres, cassandra, backend=upstream.url
    )
    assert report.kills == KILLS[kind]
    assert report.in_flight, "no round killed while a write was under way"
    assert all(writer.acknowledged for writer in writers)
    record_testsuite_property(f"writes in flight at the kills, {kind}", report.in_flight)
