"""The file exporter: rotation, bounds, and what a crash or a full disk leaves."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from oto_trio.telemetry.exporters import ExportError
from oto_trio.telemetry.exporters.file import FileConfig, FileExporter

if TYPE_CHECKING:
    from pathlib import Path

EVENT = json.dumps({"text": "x" * 90}).encode()


def make(path: Path, **changes: Any) -> FileExporter:
    return FileExporter(FileConfig(path=str(path), **changes))


def events(path: Path) -> list[dict[str, str]]:
    text = path.read_text()
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


async def test_each_event_is_a_line_that_only_the_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.log"
    exporter = make(path)
    await exporter.send([EVENT, EVENT])
    await exporter.send([EVENT])
    await exporter.aclose()
    await exporter.aclose()
    assert len(events(path)) == 3
    assert path.stat().st_mode & 0o777 == 0o600


async def test_files_are_rotated_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    exporter = make(path, max_file_size=1024, max_number_of_file=3)
    for _ in range(10):
        await exporter.send([EVENT] * 9)
    await exporter.aclose()
    files = sorted(entry.name for entry in tmp_path.iterdir())
    assert files == ["events.log", "events.log.000008", "events.log.000009"]
    assert all(entry.stat().st_size <= 1024 for entry in tmp_path.iterdir())
    assert sum(len(events(entry)) for entry in tmp_path.iterdir()) == 27


async def test_an_event_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    exporter = make(path, max_file_size=1024)
    large = json.dumps({"text": "y" * 5000}).encode()
    await exporter.send([EVENT, large, EVENT])
    await exporter.aclose()
    assert [len(events(entry)) for entry in sorted(tmp_path.iterdir())] == [1, 1, 1]


@pytest.mark.parametrize("torn", [b'{"text":"to', b"\x00" * 70_000, b""])
async def test_what_a_crash_left_of_a_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "events.log"
    path.write_bytes(EVENT + b"\n" + torn)
    exporter = make(path)
    await exporter.send([EVENT])
    await exporter.aclose()
    assert len(events(path)) == 2


async def test_what_a_full_disk_took_of_a_batch_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.log"
    exporter = make(path)
    await exporter.send([EVENT])
    write = os.write

    def half(fd: int, data: memoryview) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(ExportError, match="No space left"):
        await exporter.send([EVENT] * 3)
    monkeypatch.undo()
    assert len(events(path)) == 1
    await exporter.send([EVENT] * 3)
    await exporter.aclose()
    assert len(events(path)) == 4


async def test_a_folder_that_cannot_be_made_is_an_error_of_export(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        await make(tmp_path / "file" / "events.log").send([EVENT])
