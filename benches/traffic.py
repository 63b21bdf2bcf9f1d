"""The two ends of the load: the upstream, and the generators.

Closed loops are wrk's; what it cannot do (constant rate, idle connections, one large body) is
done by `oto-load`, built from benches/load; HTTP/2 is h2load's, HTTP/3 that of `oto-h3load`, built
from benches/h3load. All run on the load core together with the upstream.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benches.errors import BenchError, InvalidRunError
from benches.job import Job, Route
from benches.launch import Launched, free_port, run_to_end, tail

HERE: Final = Path(__file__).parent
MARK: Final = "oto-bench "
"""Begins the line of wrk's output that is for us."""

DONE: Final = f"""
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{MARK}{{"requests":%d,"seconds":%.6f,"bytes":%d,"p50_ms":%.4f,"p99_ms":%.4f,'
    .. '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""

# Every request is another route, in a random order: no cache of the last route can help, and
# neither can a walk through memory in the order of the table.
MANY_ROUTES: Final = """
local requests = {{}}
for line in io.lines("{table}") do
  local domain, path, fields = line:match("^(%S+) (%S+) ?(.*)$")
  requests[#requests + 1] = "GET " .. path .. " HTTP/1.1\\r\\nHost: " .. domain .. "\\r\\n"
    .. fields:gsub("\\t", "\\r\\n") .. "{fields}\\r\\n"
end
math.randomseed(20)
local count, random = #requests, math.random
function request()
  return requests[random(count)]
end
"""


def wrk() -> str:
    """Return the path of wrk.

    Raises:
        BenchError: it is not installed.
    """
    program = shutil.which("wrk")
    if program is None:
        message = "the load generator wrk is not installed: apt-get install wrk"
        raise BenchError(message)
    return program


def oto_load() -> str:
    """Build benches/load if it changed, and return the path of its program.

    Raises:
        BenchError: cargo is missing or the build failed.
    """
    if shutil.which("cargo") is None:
        message = "cargo is needed to build benches/load: install Rust"
        raise BenchError(message)
    # Beside the gateway's build, never in it: another set of dependencies and flags.
    target = HERE.parent / "target" / "bench-load"
    build = subprocess.run(
        ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", str(target)],
        cwd=HERE / "load",
        env={**os.environ, "CARGO_TERM_COLOR": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    if build.returncode != 0:
        message = f"benches/load does not build:\n{build.stderr}"
        raise BenchError(message)
    return str(target / "release" / "oto-load")


@functools.cache
def oto_h3load() -> str:
    """Build benches/h3load if it changed, and return the path of its program.

    Raises:
        BenchError: Go is missing or the build failed.
    """
    if shutil.which("go") is None:
        message = "go is needed to build benches/h3load, the load generator of HTTP/3: install Go"
        raise BenchError(message)
    program = HERE.parent / "target" / "bench-load" / "oto-h3load"
    build = subprocess.run(
        ["go", "build", "-trimpath", "-o", str(program), "."],
        cwd=HERE / "h3load",
        capture_output=True,
        text=True,
        check=False,
    )
    if build.returncode != 0:
        message = f"benches/h3load does not build:\n{build.stderr}"
        raise BenchError(message)
    return str(program)


@dataclass(frozen=True, slots=True)
class StreamsLoop:
    """Requests over HTTP/2 or HTTP/3, each of which follows an answer.

    Attributes:
        connections: Number of client connections.
        streams: Requests under way on each.
        answer_bytes: Least size of each answer's body, which is checked.
        duration_s: Length in whole seconds; None to end after `requests`.
        requests: How many there are, without a duration.
        target: What follows the route's prefix; an answer of that size by default.
        body: What each request brings; with one it is a POST.
        fields: Further request header fields.
    """

    connections: int
    streams: int
    answer_bytes: int
    duration_s: int | None = None
    requests: int = 0
    target: str = ""
    body: bytes = b""
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadCore:
    """The core that makes the load, with the tools on it.

    Attributes:
        core: Number of the core.
        tool: Path of `oto-load`.
        wrk: Path of wrk.
        folder: Where scripts and logs go.
    """

    core: int
    tool: str
    wrk: str
    folder: Path

    @contextlib.contextmanager
    def upstream(self, verb: str = "upstream") -> Iterator[int]:
        """Run the upstream that is this verb of `oto-load`; yields its port.

        Raises:
            BenchError: it does not start.
        """
        port = free_port()
        log = self.folder / "upstream.log"
        argv = [self.tool, verb, "--address", f"127.0.0.1:{port}"]
        with Launched(argv, core=self.core, log=log, speaks=True) as server:
            # It says one line when it listens; the end of file instead means that it failed.
            if not (server.process.stdout and server.process.stdout.readline()):
                message = f"the upstream did not start:\n{tail(log)}"
                raise BenchError(message)
            yield port

    def closed_loop(
        self,
        port: int,
        job: Job,
        *,
        connections: int,
        duration_s: int,
        body_bytes: int,
        fields: Sequence[str] = (),
        refused: bool = False,
    ) -> dict[str, float]:
        """Keep `connections` busy for a while, each sending its next request after an answer.

        Args:
            port: Where the proxy listens on 127.0.0.1.
            job: Requests are spread over its routes uniformly, and over its API keys.
            connections: Number of client connections.
            duration_s: Length in whole seconds, which is what wrk takes.
            body_bytes: Size of each answer, asked for and checked.
            fields: Further request header fields.
            refused: Whether every answer has to be a refusal, of any length.

        Returns:
            `requests`, `seconds`, `p50_ms`, `p99_ms`.

        Raises:
            InvalidRunError: any answer was not a 2xx, any socket failed, or bodies were short.
        """
        script = self.folder / "wrk.lua"
        target = f"bytes/{body_bytes}"
        routes, guard = job.routes, job.guard
        # With one route wrk writes the same octets each time and asks no script.
        first = routes[0]
        api_keys = 0 if guard is None else guard.api_keys
        if guard is not None and api_keys == 1:
            fields = (*fields, *guard.fields())
        wanted = [f"Host: {first.domain}", *fields]
        text = DONE
        if len(routes) > 1 or api_keys > 1:
            table = self.folder / "requests.txt"
            table.write_text("".join(request_lines(job, target)))
            escaped = "".join(f"{field}\\r\\n" for field in fields)
            text += MANY_ROUTES.format(table=table, fields=escaped)
        script.write_text(text)
        argv = [self.wrk, "-t1", f"-c{connections}", f"-d{duration_s}s", "-s", str(script)]
        # Its 2 s would call a proxy broken that searches a long list for each request.
        argv += ["--timeout", "10s"]
        for field in wanted:
            argv += ["-H", field]
        argv.append(
            f"{'https://localhost' if job.tls else 'http://127.0.0.1'}:{port}{first.prefix}{target}"
        )
        output = run_to_end(
            argv, core=self.core, log=self.folder / "wrk.log", timeout_s=duration_s + 30
        )
        return read_refusals(output) if refused else read_wrk(output, body_bytes)

    def http2(self, port: int, job: Job, loop: StreamsLoop) -> dict[str, float]:
        """Keep streams of HTTP/2 connections busy with h2load, on the job's first route.

        Args:
            port: Where the proxy listens on 127.0.0.1, with TLS.
            job: Its first route is asked.
            loop: What is asked, how often.

        Returns:
            `requests`, `seconds`, `p50_ms`, `p99_ms`.

        Raises:
            BenchError: h2load is not installed.
            InvalidRunError: any answer was not a 2xx, or bodies were short.
        """
        program = shutil.which("h2load")
        if program is None:
            message = "the load generator h2load is not installed: apt-get install nghttp2-client"
            raise BenchError(message)
        route, log = job.routes[0], self.folder / "h2load.txt"
        log.unlink(missing_ok=True)
        seconds = loop.duration_s
        argv = [program, "-t1", f"-c{loop.connections}", f"-m{loop.streams}"]
        argv += ["-n", str(loop.requests)] if seconds is None else ["-D", str(seconds)]
        argv += ["--log-file", str(log)]
        for field in (f":authority: {route.domain}", *loop.fields):
            argv += ["-H", field]
        if loop.body:
            file = self.folder / "body"
            file.write_bytes(loop.body)
            argv += ["-d", str(file)]
        target = loop.target or f"bytes/{loop.answer_bytes}"
        argv.append(f"https://localhost:{port}{route.prefix}{target}")
        output = run_to_end(
            argv, core=self.core, log=self.folder / "h2load.log", timeout_s=(seconds or 90) + 30
        )
        times_us = [int(line.split("\t")[2]) for line in log.read_text().splitlines()]
        return read_h2load(output, times_us, loop.answer_bytes, seconds)

    def http3(self, port: int, job: Job, loop: StreamsLoop) -> dict[str, float]:
        """Do what `http2` does over HTTP/3, with `oto-h3load`; `fields` of the loop are not sent.

        Args:
            port: Where the proxy listens on 127.0.0.1, on UDP.
            job: Its first route is asked.
            loop: What is asked, how often.

        Returns:
            `requests`, `seconds`, `p50_ms`, `p99_ms`.

        Raises:
            BenchError: the generator does not build.
            InvalidRunError: any answer was not a 200, or bodies were short.
        """
        route = job.routes[0]
        argv = [oto_h3load(), "-address", f"127.0.0.1:{port}", "-host", route.domain]
        argv += ["-target", f"{route.prefix}{loop.target or f'bytes/{loop.answer_bytes}'}"]
        argv += ["-connections", str(loop.connections), "-streams", str(loop.streams)]
        argv += ["-seconds", str(loop.duration_s or 0), "-requests", str(loop.requests)]
        argv += ["-answer", str(loop.answer_bytes), "-body", str(len(loop.body))]
        log = self.folder / "h3load.log"
        output = run_to_end(argv, core=self.core, log=log, timeout_s=(loop.duration_s or 90) + 30)
        numbers: dict[str, float] = json.loads(output)
        return numbers

    def run(self, verb: str, port: int, route: Route, *, path: str, **options: float | str) -> Any:
        """Run one verb of `oto-load` against a port and return the JSON object it prints.

        Raises:
            InvalidRunError: it met an error.
        """
        argv = self.command(verb, port, route, path=path, **options)
        output = run_to_end(argv, core=self.core, log=self.folder / "load.log", timeout_s=180)
        return json.loads(output)

    def command(
        self, verb: str, port: int, route: Route, *, path: str, **options: float | str
    ) -> list[str]:
        """Return the command line of one verb of `oto-load`."""
        argv = [self.tool, verb, "--address", f"127.0.0.1:{port}", "--host", route.domain]
        argv += ["--target", f"{route.prefix}{path}"]
        for name, value in options.items():
            argv += [f"--{name}", str(value)]
        return argv


def request_lines(job: Job, target: str) -> Iterator[str]:
    """Walk the requests of a mixed load: domain, path and, after tabs, header fields."""
    routes, guard = job.routes, job.guard
    api_keys = 1 if guard is None else guard.api_keys
    for number in range(max(len(routes), api_keys, job.requests)):
        route = routes[number % len(routes)]
        fields = ""
        if guard is not None and api_keys > 1:
            fields = "".join(f"{field}\t" for field in guard.fields(number % api_keys))
        yield f"{route.domain} {route.prefix}{target} {fields}".rstrip(" ") + "\n"


def read_refusals(output: str) -> dict[str, float]:
    """Read the numbers out of wrk's output; every answer has to be of 400 or above.

    Raises:
        InvalidRunError: one was not, or a socket failed.
    """
    numbers = _numbers(output)
    wrong = sum(numbers[key] for key in ("connect", "read", "write", "timeout"))
    if wrong or not numbers["requests"] or numbers["status"] < numbers["requests"] * 0.999:
        message = (
            f"{numbers['status']:.0f} refusals of {numbers['requests']:.0f}, {wrong:.0f} failures"
        )
        raise InvalidRunError(message)
    return {name: numbers[name] for name in ("requests", "seconds", "p50_ms", "p99_ms")}


def _numbers(output: str) -> dict[str, float]:
    """Find wrk's summary.

    Raises:
        InvalidRunError: it is not there.
    """
    line = next((text for text in output.splitlines() if text.startswith(MARK)), None)
    if line is None:
        message = f"wrk printed no summary: {output.strip()!r}"
        raise InvalidRunError(message)
    numbers: dict[str, float] = json.loads(line.removeprefix(MARK))
    return numbers


def _counts_line(output: str) -> str:
    """Return what h2load counted, or the last that it said."""
    lines = output.strip().splitlines()
    counts = [line for line in lines if line.startswith("requests:")]
    return (counts or lines or ["it said nothing"])[-1]


def read_h2load(
    output: str, times_us: Sequence[int], body_bytes: int, duration_s: float | None
) -> dict[str, float]:
    """Read what h2load says at its end.

    Args:
        output: Its standard output.
        times_us: How long each request took, in microseconds.
        body_bytes: The size that each answer has to have.
        duration_s: How long it was to run; None when it ended by itself, and says so.

    Returns:
        `requests`, `seconds`, `p50_ms`, `p99_ms`.

    Raises:
        InvalidRunError: A request failed, an answer was no 2xx, or bodies were short.
    """
    counts = re.search(
        r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", output
    )
    data = re.search(r"traffic: .* \((\d+)\) data", output)
    statuses = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", output)
    finished = re.search(r"finished in ([0-9.]+)(us|ms|s),", output)
    if counts is None or data is None or statuses is None or finished is None or not times_us:
        message = f"h2load met errors: {_counts_line(output)}"
        raise InvalidRunError(message)
    done, _, failed, errored = map(int, counts.groups())
    # What is under way when the time is over has brought a part of its body.
    if failed or errored or not done or int(data[1]) < done * body_bytes:
        message = f"h2load met errors: {_counts_line(output)}"
        raise InvalidRunError(message)
    if duration_s is None:
        duration_s = float(finished[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1}[finished[2]]
    ordered = sorted(times_us)
    return {
        "requests": float(done),
        "seconds": float(duration_s),
        "p50_ms": ordered[len(ordered) // 2] / 1000,
        "p99_ms": ordered[len(ordered) * 99 // 100] / 1000,
    }


def read_wrk(output: str, body_bytes: int) -> dict[str, float]:
    """Read the numbers out of wrk's output, and refuse a run with any error in it.

    wrk counts 4xx and 5xx as errors; an answer that is too small is neither, so the octets are
    checked as well.

    Raises:
        InvalidRunError: as said, or the numbers are not there.
    """
    numbers = _numbers(output)
    kinds = {
        "connect": "failed connects",
        "read": "failed reads",
        "write": "failed writes",
        "status": "answers of 400 or above",
        "timeout": "timeouts",
    }
    wrong = [f"{numbers[key]:.0f} {name}" for key, name in kinds.items() if numbers[key]]
    if not numbers["requests"]:
        wrong.append("no answer at all")
    elif numbers["bytes"] < numbers["requests"] * body_bytes:
        mean = numbers["bytes"] / numbers["requests"]
        wrong.append(f"answers of {mean:.0f} octets on average instead of {body_bytes} and a head")
    if wrong:
        raise InvalidRunError(", ".join(wrong))
    return {name: numbers[name] for name in ("requests", "seconds", "p50_ms", "p99_ms")}
