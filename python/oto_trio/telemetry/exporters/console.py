"""Writes events on standard output, one JSON object a line.

Otoroshi: the exporter ``console``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import trio
from typing_extensions import override

from oto_trio.telemetry.exporters.base import Exporter, ExporterConfig, ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ConsoleExporter"]


class ConsoleExporter(Exporter[ExporterConfig]):
    """Writes to standard output, in a thread: a terminal that is stopped delays nobody."""

    type = "console"

    @override
    async def send(self, events: Sequence[bytes]) -> None:
        await trio.to_thread.run_sync(_write, b"".join(event + b"\n" for event in events))


def _write(text: bytes) -> None:
    try:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise ExportError(f"standard output cannot be written: {error}") from error
