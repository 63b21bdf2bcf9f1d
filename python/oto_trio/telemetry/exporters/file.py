"""Writes events into a file, one JSON object a line, and begins another one when it is large.

A full file is renamed to the next number (``events.log.000001``), the highest being the newest, and the lowest are
removed once there are more than ``maxNumberOfFile``, the open one included. A batch is one write. What a crash left
of a line is cut off when the file is opened again, and so is what a full disk took of a batch, so that every line is
a whole event. Data is given to the system with each batch, and to the disk when a file is closed.

Otoroshi: the exporter ``file``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
from msgspec import Meta
from typing_extensions import override

from oto_trio.telemetry.exporters.base import Exporter, ExporterConfig, ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FileConfig", "FileExporter"]


class FileConfig(ExporterConfig, frozen=True, kw_only=True, rename="camel"):
    """Where, and how much."""

    path: Annotated[str, Meta(min_length=1, description="the file; its folder is made if need be")]
    max_file_size: Annotated[
        int, Meta(ge=1024, description="bytes after which another file is begun")
    ] = 10 * 1024 * 1024
    max_number_of_file: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="files kept, the open one included; null keeps all"),
    ] = None


class FileExporter(Exporter[FileConfig]):
    """Appends to a file that only its owner may read; all work is done in a thread."""

    type = "file"
    config_class = FileConfig

    def __init__(self, config: FileConfig) -> None:
        super().__init__(config)
        self._path = Path(config.path)
        self._fd: int | None = None
        self._size = 0

    @override
    async def send(self, events: Sequence[bytes]) -> None:
        try:
            await trio.to_thread.run_sync(self._append, events)
        except OSError as error:
            raise ExportError(
                f"{self._path} cannot be written: {error.strerror or error}"
            ) from error

    @override
    async def aclose(self) -> None:
        await trio.to_thread.run_sync(self._close)

    # ------------------------------------------------------------------------- in a thread

    def _append(self, events: Sequence[bytes]) -> None:
        waiting = b""
        for event in events:
            line = event + b"\n"
            held = self._size + len(waiting)
            if self._fd is None and not waiting:
                self._open()
                held = self._size
            if held and held + len(line) > self.config.max_file_size:
                self._write(waiting)
                waiting = b""
                self._rotate()
            waiting += line
        self._write(waiting)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._size = _whole_lines(fd)
            os.ftruncate(fd, self._size)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def _write(self, text: bytes) -> None:
        if not text:
            return
        if self._fd is None:
            self._open()
        assert self._fd is not None, "it was just opened"
        done = 0
        try:
            while done < len(text):
                done += os.write(self._fd, memoryview(text)[done:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += done

    def _rotate(self) -> None:
        """Rename the full file, and remove those that are too many."""
        self._close()
        numbers = self._numbers()
        self._path.rename(self._numbered((numbers[-1] if numbers else 0) + 1))
        if self.config.max_number_of_file is not None:
            numbers = self._numbers()
            for number in numbers[: max(len(numbers) - self.config.max_number_of_file + 1, 0)]:
                self._numbered(number).unlink(missing_ok=True)
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number:06d}")

    def _numbers(self) -> list[int]:
        """Return the numbers of the files that were closed, oldest first."""
        shape = re.compile(re.escape(self._path.name) + r"\.(\d{6,})")
        found = (shape.fullmatch(entry.name) for entry in self._path.parent.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def _close(self) -> None:
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            os.fsync(fd)
        except OSError:  # a pipe or a device has no disk
            pass
        finally:
            os.close(fd)


def _whole_lines(fd: int) -> int:
    """Return how many bytes of a file are whole lines."""
    end = os.fstat(fd).st_size
    while end:
        start = max(end - 65536, 0)
        at = os.pread(fd, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
