"""What counts as a valid run, and that nothing a bench starts outlives it."""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from typing_extensions import override

from benches import launch, procfs, traffic
from benches.contest import Contest
from benches.contestant import Contestant
from benches.errors import BenchError, InvalidRunError
from benches.job import Job, Route
from benches.launch import Launched, free_port, run_to_end
from benches.measurement import Sample
from benches.peers import Proxy
from benches.peers.proxy import CommandLine
from benches.scenarios import Conditions, Scenario
from benches.traffic import MARK, LoadCore, StreamsLoop, read_h2load, read_wrk

CORE = min(os.sched_getaffinity(0))
GOOD = {
    "requests": 1000,
    "seconds": 2.0,
    "bytes": 1_150_000,
    "p50_ms": 0.5,
    "p99_ms": 2.0,
    "connect": 0,
    "read": 0,
    "write": 0,
    "status": 0,
    "timeout": 0,
}


def wrk_says(**changes: float) -> str:
    return f"Running 2s test\n{MARK}{json.dumps({**GOOD, **changes})}\n"


def test_a_clean_run_of_wrk_is_read() -> None:
    assert read_wrk(wrk_says(), 1024) == {
        "requests": 1000,
        "seconds": 2.0,
        "p50_ms": 0.5,
        "p99_ms": 2.0,
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"connect": 1}, "1 failed connects"),
        ({"read": 2}, "2 failed reads"),
        ({"write": 3}, "3 failed writes"),
        ({"status": 4}, "4 answers of 400 or above"),
        ({"timeout": 5}, "5 timeouts"),
        ({"requests": 0, "bytes": 0}, "no answer at all"),
        ({"bytes": 200_000}, "answers of 200 octets"),
    ],
)
def test_any_error_makes_a_run_invalid(changes: dict[str, float], named: str) -> None:
    with pytest.raises(InvalidRunError, match=named):
        read_wrk(wrk_says(**changes), 1024)


def test_wrk_without_a_summary_is_invalid() -> None:
    with pytest.raises(InvalidRunError, match="unable to connect"):
        read_wrk("unable to connect to 127.0.0.1", 1024)


def test_a_free_port_is_free_and_out_of_the_way_of_outgoing_connections() -> None:
    port = free_port()
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert 15_000 <= port <= 30_000 < lowest
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.perf_counter() + 60
    while not condition():
        assert time.perf_counter() < deadline_s
        time.sleep(0.002)


def test_what_is_launched_is_pinned_and_ends_with_its_children(tmp_path: Path) -> None:
    # The grandchild is in a session of its own and its parent ignores SIGTERM: neither may stay.
    script = "trap '' TERM; setsid sleep 50 & echo $!; wait"
    log = tmp_path / "log"
    with (
        pytest.MonkeyPatch.context() as patch,
        Launched(["sh", "-c", script], core=CORE, log=log) as launched,
    ):
        patch.setattr(launch, "END_S", 0.05)
        wait_for(lambda: len(launched.pids()) == 2 and bool(log.read_text()))
        grandchild = int(log.read_text())
        assert launched.pids() == sorted([launched.pid, grandchild])
        assert os.sched_getaffinity(launched.pid) == {CORE}
        members = procfs.family(launched.pid, procfs.snapshot())
        patch.setattr(launched.process, "wait", lambda _: launched.process.poll())
        launched.end()
        wait_for(lambda: launch.still_there(members) == [])


def test_niceness_holds_for_the_scheduling_group_of_what_is_launched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpriority", lambda which, who: 7)
    with Launched(["sleep", "50"], core=CORE, log=tmp_path / "log") as launched:
        group = procfs.PROC / str(launched.pid) / "autogroup"
        if not group.exists():
            pytest.skip("this kernel has no autogroups")
        assert group.read_text().split()[-1] == "7"


def test_this_process_is_not_pinned_by_what_it_launches(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    assert run_to_end(["echo", "hello"], core=CORE, log=tmp_path / "log", timeout_s=60) == "hello\n"
    assert os.sched_getaffinity(0) == before


def test_a_tool_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidRunError, match="sh failed: no luck"):
        run_to_end(
            ["sh", "-c", "echo no luck >&2; exit 3"], core=CORE, log=tmp_path / "log", timeout_s=60
        )


def test_a_tool_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(InvalidRunError, match="did not end"):
        run_to_end(["sleep", "50"], core=CORE, log=tmp_path / "log", timeout_s=0.05)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot start no-such-program"):
        Launched(["no-such-program"], core=CORE, log=tmp_path / "log")


# A stand-in that answers every request with a status and as many octets as the path's last number.
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"x" * int(self.path.rsplit("/", 1)[1])
        self.send_response(int(sys.argv[2]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class StandIn(Proxy):
    """A proxy that answers everything itself with one status."""

    install: ClassVar[str] = "it is here"

    def __init__(self, name: str, program: str = SERVER, status: int = 200) -> None:
        type(self).name = name
        self.program = program
        self.status = status

    @override
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        return CommandLine((sys.executable, "-S", "-c", self.program, str(port), str(self.status)))


class NoUpstream(LoadCore):
    """A load core whose upstream nobody asks."""

    @contextlib.contextmanager
    @override
    def upstream(self, verb: str = "upstream") -> Iterator[int]:
        assert verb == TwoRounds.upstream
        yield 9


class TwoRounds(Scenario):
    """A good run, then a bad one."""

    name: ClassVar[str] = "two-rounds"
    summary: ClassVar[str] = "for this test"
    runs = 0

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        self.runs += 1
        status, window = contestant.watch(lambda: contestant.ask(contestant.job.routes[0]))
        if self.runs == 2:
            message = "3 timeouts"
            raise InvalidRunError(message)
        assert status == 200
        resident = sum(contestant.resident().values())
        return Sample(
            requests=1,
            seconds=window.seconds,
            cpu_ns=window.cpu_ns,
            cpu_source=window.cpu_source,
            p50_ms=None,
            p99_ms=None,
            resident_bytes=resident,
        )


def contest(proxy: Proxy, folder: Path, said: list[str]) -> Contest:
    return Contest(
        TwoRounds(),
        [proxy],
        NoUpstream(core=CORE, tool="", wrk="", folder=folder),
        Conditions(duration_s=1, domains=1),
        core=CORE,
        say=said.append,
    )


@pytest.mark.slow
def test_an_invalid_run_is_told_and_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = contest(StandIn("oto-trio"), tmp_path, said).run(2)
    assert outcome.invalid == ["oto-trio, round 2: 3 timeouts"]
    assert [line.split(":")[0].strip() for line in said] == ["round 1", "INVALID oto-trio, round 2"]
    document = outcome.document(Conditions(duration_s=1, domains=1), 2)
    assert len(document["runs"]["oto-trio"]) == 1
    assert document["invalid"] == outcome.invalid
    assert document["proxies"]["oto-trio"]["rss_mb"] > 1


def test_http3_is_asked_with_what_the_loop_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {"requests": 3, "seconds": 1.5, "p50_ms": 0.5, "p99_ms": 2.0}
    tool = tmp_path / "h3load"
    tool.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\necho '{json.dumps(numbers)}'\n")
    tool.chmod(0o755)
    monkeypatch.setattr(traffic, "oto_h3load", lambda: str(tool))
    load = LoadCore(core=CORE, tool="", wrk="", folder=tmp_path)
    loop = StreamsLoop(connections=4, streams=2, answer_bytes=9, requests=30, body=b"12345")
    assert load.http3(8443, Job(9), loop) == numbers
    assert (tmp_path / "asked").read_text().split() == [
        *("-address", "127.0.0.1:8443", "-host", "bench.test", "-target", "/bytes/9"),
        *("-connections", "4", "-streams", "2", "-seconds", "0", "-requests", "30"),
        *("-answer", "9", "-body", "5"),
    ]


class Unable(StandIn):
    """A proxy that cannot do any job."""

    @override
    def lacks(self, job: Job) -> str | None:
        return "which is only a stand-in"


def test_a_proxy_that_cannot_do_the_job_is_left_out_and_told(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = contest(Unable("unable", program="raise SystemExit(1)"), tmp_path, said).run(1)
    assert said == ["  without unable, which is only a stand-in"]
    assert outcome.samples == {}


@pytest.mark.slow
def test_a_proxy_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    broken = StandIn("broken", program="import sys; sys.exit('unknown directive at line 7')")
    with pytest.raises(BenchError, match=r"broken ended with exit code 1(.|\n)*line 7"):
        contest(broken, tmp_path, []).run(1)


@pytest.mark.slow
def test_a_proxy_that_never_answers_200_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Contestant.ask

    def ask(contestant: Contestant, route: Route) -> int:
        status = asked(contestant, route)
        monkeypatch.setattr("benches.contestant.READY_S", 0.0)  # its time is over once it answered
        return status

    monkeypatch.setattr(Contestant, "ask", ask)
    with pytest.raises(BenchError, match=r"was not ready after .* \(last answer: 502\)"):
        contest(StandIn("refuser", status=502), tmp_path, []).run(1)


H2LOAD = """\
finished in {time}, 3409.40 req/s, 3.40MB/s
requests: 17047 total, 17100 started, {done} done, {done} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: {done} 2xx, 0 3xx, {refused} 4xx, 0 5xx
traffic: 3.99MB (4180420) total, 11.82KB (12104) headers (space savings 93.95%), 3.91MB ({data}) data
"""


def h2load_says(**changes: object) -> str:
    return H2LOAD.format(
        **{"time": "5.00s", "done": 4, "failed": 0, "refused": 0, "data": 4096, **changes}
    )


def test_what_h2load_says_is_read_and_an_error_is_no_result() -> None:
    numbers = read_h2load(h2load_says(), [4000, 1000, 2000, 3000], 1024, 5)
    assert numbers == {"requests": 4.0, "seconds": 5.0, "p50_ms": 3.0, "p99_ms": 4.0}
    for wrong in (
        h2load_says(failed=1),
        h2load_says(refused=1),
        h2load_says(data=4095),
        "nothing",
    ):
        with pytest.raises(InvalidRunError):
            read_h2load(wrong, [1], 1024, 5)


@pytest.mark.parametrize(("time", "seconds"), [("2.50s", 2.5), ("40.00ms", 0.04), ("800us", 8e-4)])
def test_a_run_of_h2load_that_ends_by_itself_says_how_long_it_took(
    time: str, seconds: float
) -> None:
    numbers = read_h2load(h2load_says(time=time), [1000], 1024, None)
    assert numbers["seconds"] == pytest.approx(seconds)
