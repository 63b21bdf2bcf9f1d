"""How many events one control plane makes and writes to a file: `python -m benches.exporting`.

Batches of packed records go in as workers send them, and a file exporter with the default settings but for
its queue writes them: unpacking, the event, enrichment, filters, JSON and the write are all in. New
batches come only when the queue has room, so nothing is dropped, and the rate is what can be kept up.
Engine and workers are no part of it. Wall time on one core: run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from oto_trio.control.exporting import Exporting
from oto_trio.control.store import MemoryStore
from oto_trio.model.data_exporter import DATA_EXPORTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH: Final = 128
"""Records in a batch, as workers send them."""

QUEUE: Final = 5000
"""Events that wait at most: an exporter's default."""

_HEADERS: Final = [
    *("Host", "api.test", "User-Agent", "bench/1.0", "Accept", "application/json"),
    *("Authorization", "***", "X-Request-Id", "0123456789abcdef", "Accept-Encoding", "gzip, br"),
]
_ANSWER: Final = ["Content-Type", "application/json", "Content-Length", "321", "Date", "now"]


def packed_batch() -> bytes:
    """Pack a batch of records with details, as the engine does."""
    details: list[object] = [
        *(
            "1989",
            "192.0.2.1",
            "page=2",
            "1.1",
            True,
            False,
            _HEADERS,
            _HEADERS,
            _ANSWER,
            _ANSWER,
            0,
            200,
        ),
        *(
            False,
            120,
            "users",
            '{"product":"shop"}',
            None,
            None,
            '{"identityType":"APIKEY","label":"k"}',
            None,
            [],
        ),
        *('{"remainingCallsPerDay":3}', [], None),
    ]
    record: list[object] = [
        *(1000.25, 0.0125, 0.010, "192.0.2.1", "route_1", "192.0.2.9:80", "GET", "api.test"),
        *("/users", 200, 1, 7, 321, False, "1989", "k", details),
    ]
    return msgspec.msgpack.encode([record] * BATCH)


async def _capture(*, events: bool, redaction: bytes) -> None:
    """Stand for the workers, which nobody tells anything here."""
    del events, redaction
    await trio.lowlevel.checkpoint()


async def measure(seconds: float, path: Path) -> dict[str, int | float]:
    """Export for a while.

    Args:
        seconds: How long batches go in.
        path: The file that is written.

    Returns:
        The counters of `Exporting.metrics`, with `events_per_s` and `cpu_us_per_event`.
    """
    document = {
        "id": "bench",
        "name": "bench",
        "type": "file",
        "enabled": True,
        "bufferSize": QUEUE,
        "config": {"path": str(path), "maxNumberOfFile": 2},
    }
    batch = packed_batch()
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        await store.put(DATA_EXPORTERS, "bench", msgspec.json.encode(document))
        exporting = Exporting(store, _capture)
        nursery.start_soon(exporting.run)
        while not exporting.metrics()["exporters"]:  # noqa: ASYNC110 (it tells nobody)
            await trio.sleep(0.01)
        given = 0
        began, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds or not exporting.metrics()["events_sent"]:
            metrics = exporting.metrics()
            if metrics["events_waiting"] < QUEUE // 2 and metrics["events_taken"] == given:
                exporting.take(0.0, batch)
                given += BATCH
            await trio.lowlevel.checkpoint()
        counters = exporting.metrics()
        taken_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        nursery.cancel_scope.cancel()
    sent = counters["events_sent"]
    per_event = cpu_s / max(sent, 1) * 1e6
    return {**counters, "events_per_s": sent / taken_s, "cpu_us_per_event": per_event}


def main(argv: Sequence[str]) -> int:
    """Measure, and print the counters as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benches.exporting", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long batches go in")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = trio.run(measure, options.seconds, Path(folder) / "events.log")
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
