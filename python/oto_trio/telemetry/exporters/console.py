"""Writes events on standard output, one JSON object a line.

Otoroshi: the exporter ``console``.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from typing_extensions import override

from oto_trio.telemetry.exporters.base import Exporter, ExporterConfig, ExportError
from oto_trio.telemetry.log_queue import writer_to
from oto_trio.telemetry.writing import Writing, turns_at_standard_output

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ConsoleExporter"]


class ConsoleExporter(Exporter[ExporterConfig]):
    """Writes to standard output, in a thread: a terminal that is stopped delays nobody, and no end of the gateway."""

    type = "console"

    def __init__(self, config: ExporterConfig) -> None:
        super().__init__(config)
        self._left: tuple[Sequence[bytes], Writing] | None = None

    @override
    async def send(self, events: Sequence[bytes]) -> None:
        # A thread that was left with this batch still has it.
        if self._left is None or self._left[0] is not events:
            text = b"".join(event + b"\n" for event in events)
            self._left = events, Writing(partial(writer_to(sys.stdout), text))
        try:
            await self._left[1].made(turns_at_standard_output())
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise ExportError(f"standard output cannot be written: {error}") from error
        self._left = None
