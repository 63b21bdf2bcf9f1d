"""The access log."""

import errno
import io
import json
import os
import select
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from typing_extensions import override

from oto_trio.telemetry import access_log
from oto_trio.telemetry.access_log import STANDARD_OUTPUT, WAITING_BATCHES, AccessLog

RECORD = [
    *(1000.25, 0.0125, 0.01, "192.0.2.1", "route_1", "192.0.2.9:80"),
    *("GET", "api.test", "/users", 200, 1, 0, 321, False),
    *("1989", "key_1", None),
]


GUARD_S = 30.0


def batch(*records: Sequence[object]) -> bytes:
    return msgspec.msgpack.encode(list(records) or [RECORD])


def lost(count: int) -> str:
    return f"{count} batches of the access log - are lost: they could not be written in time"


@contextmanager
def stuck_output(monkeypatch: pytest.MonkeyPatch) -> Generator[int]:
    """Have standard output be a pipe without room, which is broken in the end; gives the end to read."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writes, b"." * select.PIPE_BUF)
    os.set_blocking(writes, True)
    with open(writes, "w", encoding="utf-8") as stream:  # noqa: PTH123 (a pipe)
        monkeypatch.setattr(sys, "stdout", stream)
        try:
            yield reads
        finally:
            monkeypatch.undo()
            os.close(reads)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


TCP_RECORD = [
    *(1000.25, 3.0, 0.0015, "tcp_1", "postgres", "192.0.2.9:5432"),
    *("[2001:db8::7]:40000", "192.0.2.1:5433", "db.test", 12, 34, None),
]


async def test_each_connection_of_a_tcp_service_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    refused: list[object] = [*TCP_RECORD]
    refused[3:6] = [None, None, None]
    refused[6] = "192.0.2.7:1"
    refused[-1] = "no rule takes the server name"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        log.take(1_700_000_000.0 - 1000, batch(RECORD))
        log.take_tcp(1_700_000_000.0 - 1000, batch(TCP_RECORD, refused))
        nursery.cancel_scope.cancel()
    _, first, second = lines(path)
    assert first == {
        "time": "2023-11-14T22:13:20.250+00:00",
        "ip": "2001:db8::7",
        "protocol": "tcp",
        "port": 5433,
        "server_name": "db.test",
        "duration_ms": 3000.0,
        "connect_ms": 1.5,
        "bytes_in": 12,
        "bytes_out": 34,
        "service": "tcp_1",
        "name": "postgres",
        "target": "192.0.2.9:5432",
        "end": "both sides are done",
    }
    assert second == {
        **first,
        "ip": "192.0.2.7",
        "service": None,
        "name": None,
        "target": None,
        "end": "no rule takes the server name",
    }


async def test_what_is_no_batch_of_connections_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        log.take_tcp(0.0, b"\x91\x01")
        log.take_tcp(1e300, batch(TCP_RECORD))
        log.take_tcp(0.0, batch(TCP_RECORD))
        nursery.cancel_scope.cancel()
    assert [line["time"][:4] for line in lines(path)] == ["1970", "1970"]
    assert log.dropped == 1


async def test_each_exchange_is_a_line_with_its_wall_clock_time(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        log.take(1_700_000_000.0 - 1000, batch(RECORD, RECORD))
        nursery.cancel_scope.cancel()
    assert lines(path) == 2 * [
        {
            "time": "2023-11-14T22:13:20.250+00:00",
            "ip": "192.0.2.1",
            "method": "GET",
            "host": "api.test",
            "path": "/users",
            "status": 200,
            "duration_ms": 12.5,
            "upstream_ms": 10.0,
            "bytes_in": 0,
            "bytes_out": 321,
            "route": "route_1",
            "target": "192.0.2.9:80",
            "attempts": 1,
            "local": False,
            "request_id": "1989",
            "apikey": "key_1",
        }
    ]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_what_is_there_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    for _ in range(2):
        log = AccessLog(str(path))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.run)
            log.take(0, batch())
            nursery.cancel_scope.cancel()
    assert len(lines(path)) == 2


async def test_a_rotated_file_is_left_and_a_fresh_one_begun(tmp_path: Path) -> None:
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(str(path))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        log.take(0, batch())
        await trio.testing.wait_all_tasks_blocked()
        path.rename(old)
        await log.reopen()
        log.take(0, batch(RECORD, RECORD, RECORD))
        nursery.cancel_scope.cancel()
    assert (len(lines(old)), len(lines(path))) == (1, 3)


async def test_batches_that_come_too_fast_are_counted(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "access.log"))
    for _ in range(WAITING_BATCHES + 3):
        log.take(0, batch())
    assert log.dropped == 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        nursery.cancel_scope.cancel()


async def test_batches_that_nobody_takes_are_lost_and_told_once_some_are_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with stuck_output(monkeypatch) as reads:
        log = AccessLog(STANDARD_OUTPUT)
        async with trio.open_nursery() as nursery, trio.lowlevel.FdStream(os.dup(reads)) as stream:
            nursery.start_soon(log.run)
            log.take(0, batch())
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(WAITING_BATCHES + 5):
                log.take(0, batch())
            await log.reopen()  # does not wait: there is no file to be opened
            assert (log.dropped, caplog.messages) == (5, [])
            with trio.fail_after(GUARD_S):
                found = b""
                while found.count(b"\n") < 1 + WAITING_BATCHES:
                    found += await stream.receive_some()
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
    assert caplog.messages == [lost(5)]


async def test_the_end_waits_for_a_reader_so_long_and_no_longer(
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with stuck_output(monkeypatch):
        log = AccessLog(STANDARD_OUTPUT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.run)
            for _ in range(3):
                log.take(0, batch())
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert trio.current_time() == access_log.FLUSH_S
    assert log.metrics() == {"access_log_batches_dropped": 3}
    assert caplog.messages == [lost(3)]


async def test_a_full_disk_is_logged_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog("/dev/full")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        log.take(0, batch())
        log.take(0, batch())
        nursery.cancel_scope.cancel()
    assert log.dropped == 2
    assert [record.getMessage() for record in caplog.records] == [
        "the access log /dev/full cannot be written: [Errno 28] No space left on device",
        "2 batches of the access log /dev/full are lost: they could not be written in time",
    ]


async def test_a_disk_that_complains_when_a_file_is_closed_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Late(io.FileIO):
        @override
        def close(self) -> None:
            super().close()
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    def opened(path: Path, mode: str, buffering: int) -> Late:
        assert buffering == 0
        return Late(path, mode)

    path = tmp_path / "access.log"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        log = AccessLog(str(path))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.run)
            log.take(0, batch())
            await log.reopen()
            log.take(0, batch())
            nursery.cancel_scope.cancel()
    assert len(lines(path)) == 2
    assert caplog.messages == []


async def test_standard_output_is_written_to_and_stays_open(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    log = AccessLog(STANDARD_OUTPUT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await log.reopen()
        log.take(0, batch())
        nursery.cancel_scope.cancel()
    sys.stdout.write("still open")
    sys.stdout.flush()
    out, _ = capfdbinary.readouterr()
    assert b'"path":"/users"' in out
    assert out.endswith(b"still open")


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="access"):
        AccessLog(str(tmp_path / "none" / "access.log"))


async def test_what_is_no_record_is_counted_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        log.take(0.0, b"\x91\x01")
        log.take(0.0, b"no msgpack")
        log.take(0.0, batch())
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()
    assert len(lines(path)) == 1
    assert log.metrics() == {"access_log_batches_dropped": 2}
    assert "cannot be written" in caplog.text
