"""The exporters console, tcp and udp, over real sockets and pipes: what arrives, and what happens when nobody listens."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from oto_trio.model.data_exporter import read_data_exporter
from oto_trio.model.errors import EntityError
from oto_trio.telemetry.events.identity import Instance
from oto_trio.telemetry.exporters import ExportError, Pipeline, check_exporter, make_exporter

if TYPE_CHECKING:
    from pathlib import Path

    from oto_trio.telemetry.exporters import Exporter

GUARD_S = 30.0
TWO = [b'{"n":1}', b'{"n":2}']


def made(kind: str, config: dict[str, Any] | None = None) -> Exporter[Any]:
    entity = {"id": "e", "name": "e", "type": kind, "enabled": True, "config": config or {}}
    return make_exporter(read_data_exporter(entity))


async def lines_of(stream: trio.abc.ReceiveStream, count: int) -> list[bytes]:
    received = b""
    while received.count(b"\n") < count:
        part = await stream.receive_some()
        assert part, "the exporter closed the connection"
        received += part
    return received.splitlines()


async def send_for_ever(exporter: Exporter[Any]) -> None:
    """Send until it fails: the system may take some before it knows that nobody is there."""
    while True:
        await exporter.send(TWO)
        await trio.sleep(0.01)


# ----------------------------------------------------------------------------- console


async def test_the_console_gets_a_line_an_event(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    exporter = made("console")
    await exporter.send(TWO)
    await exporter.aclose()
    assert capfdbinary.readouterr().out == b'{"n":1}\n{"n":2}\n'


async def test_a_closed_console_is_a_fault_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as broken:  # noqa: ASYNC230, PTH123 (a pipe that nobody reads)
        monkeypatch.setattr(sys, "stdout", broken)
        with pytest.raises(ExportError, match="standard output cannot be written"):
            await made("console").send(TWO)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what is buffered can go now


async def test_a_batch_that_was_given_up_is_written_once_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writes, b"." * 4096)
    os.set_blocking(writes, True)
    batch = list(TWO)
    with open(writes, "w") as stuck:  # noqa: ASYNC230, PTH123 (a pipe)
        monkeypatch.setattr(sys, "stdout", stuck)
        exporter = made("console")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exporter.send, batch)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        async with trio.lowlevel.FdStream(reads) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(exporter.send, batch)
            await trio.testing.wait_all_tasks_blocked()
            found = b""
            with trio.fail_after(GUARD_S):
                while not found.endswith(TWO[1] + b"\n"):
                    found += await stream.receive_some()
                # As one that came anew, though it says the same, it is written.
                await exporter.send(list(batch))
                found += await stream.receive_some()
        assert found.strip(b".").splitlines() == 2 * TWO


# ----------------------------------------------------------------------------- tcp


async def test_tcp_keeps_one_connection_and_makes_another_when_it_breaks() -> None:
    with trio.fail_after(GUARD_S):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            exporter = made("tcp", {"port": listener.socket.getsockname()[1]})
            await exporter.send(TWO)
            first = await listener.accept()
            await exporter.send(TWO[:1])
            assert await lines_of(first, 3) == [*TWO, TWO[0]]
            await first.aclose()
            with pytest.raises(ExportError, match="does not take events"):
                await send_for_ever(exporter)
            await exporter.send(TWO)
            second = await listener.accept()
            assert await lines_of(second, 2) == TWO
            await exporter.aclose()
            assert await second.receive_some() == b""
            await second.aclose()


async def test_tcp_and_udp_write_to_unix_sockets(tmp_path: Path) -> None:
    with trio.fail_after(GUARD_S):
        stream_path, datagram_path = str(tmp_path / "s"), str(tmp_path / "d")
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as listening:
            await listening.bind(stream_path)
            listening.listen()
            exporter = made("tcp", {"host": stream_path, "unix_socket": True})
            await exporter.send(TWO)
            accepted, _ = await listening.accept()
            async with trio.SocketStream(accepted) as stream:
                assert await lines_of(stream, 2) == TWO
            await exporter.aclose()
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as sock:
            await sock.bind(datagram_path)
            exporter = made("udp", {"host": datagram_path, "unix_socket": True})
            await exporter.send(TWO)
            assert [await sock.recv(100) for _ in TWO] == TWO
            await exporter.aclose()


async def test_tcp_names_where_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with trio.fail_after(GUARD_S), pytest.raises(ExportError, match=f"127.0.0.1:{port}"):
        await made("tcp", {"port": port}).send(TWO)


async def test_a_receiver_that_does_not_read_holds_up_nobody_and_what_does_not_fit_is_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    assert autojump_clock is not None
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with listener:
        port = listener.socket.getsockname()[1]
        entity = read_data_exporter(
            {
                "id": "e",
                "name": "e",
                "type": "tcp",
                "enabled": True,
                "bufferSize": 10,
                "groupSize": 1,
                "config": {"port": port},
            }
        )
        pipeline = Pipeline(entity, make_exporter(entity), Instance())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.run)
            for n in range(200):
                # Far more than the buffers of the two sockets hold, and it never waits.
                pipeline.offer({"@type": "GatewayEvent", "n": n, "filler": "x" * 100_000})
                await trio.lowlevel.checkpoint()
            assert pipeline.dropped > 0
            assert pipeline.waiting <= 10
            pipeline.close()
            await pipeline.ended.wait()
        assert pipeline.sent + pipeline.lost + pipeline.dropped == 200
        assert pipeline.lost > 0, "the attempts run out"


# ----------------------------------------------------------------------------- udp


async def test_udp_sends_a_datagram_an_event_and_leaves_out_what_no_datagram_holds() -> None:
    with trio.fail_after(GUARD_S), trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        exporter = made("udp", {"port": sock.getsockname()[1]})
        await exporter.send([TWO[0], b"x" * 70_000, TWO[1]])
        assert [await sock.recv(100) for _ in TWO] == TWO
        await exporter.aclose()


async def test_what_no_datagram_holds_counts_as_lost() -> None:
    with trio.fail_after(GUARD_S), trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        config = {"port": sock.getsockname()[1]}
        entity = {"id": "e", "name": "e", "type": "udp", "enabled": True, "config": config}
        read = read_data_exporter(entity)
        pipeline = Pipeline(read, make_exporter(read), Instance())
        pipeline.offer({"@type": "GatewayEvent", "n": 1})
        pipeline.offer({"@type": "GatewayEvent", "filler": "x" * 70_000})
        pipeline.close()
        await pipeline.run()
        assert (pipeline.sent, pipeline.lost) == (1, 1)


async def test_udp_goes_on_after_a_receiver_that_was_away() -> None:
    with trio.fail_after(GUARD_S):
        with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
            await sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        exporter = made("udp", {"port": port})
        with pytest.raises(ExportError, match="cannot be sent"):
            await send_for_ever(exporter)
        with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
            await sock.bind(("127.0.0.1", port))
            await exporter.send(TWO)
            assert [await sock.recv(100) for _ in TWO] == TWO
        await exporter.aclose()


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("config", "field"),
    [({"port": 0}, "port"), ({"connect_timeout": 0}, "connect_timeout")],
)
def test_bad_settings_are_refused_with_the_field(
    kind: str, config: dict[str, Any], field: str
) -> None:
    entity = read_data_exporter(
        {"id": "e", "name": "e", "type": kind, "enabled": True, "config": config}
    )
    problems = check_exporter(entity)
    assert any(field in problem.path for problem in problems), problems
    with pytest.raises(EntityError):
        make_exporter(entity)


def test_tcp_refuses_tls_rather_than_sending_in_clear() -> None:
    entity = read_data_exporter(
        {
            "id": "e",
            "name": "e",
            "type": "tcp",
            "enabled": True,
            "config": {"tls": {"enabled": True}},
        }
    )
    (problem,) = check_exporter(entity)
    assert problem.path.endswith("tls.enabled")
