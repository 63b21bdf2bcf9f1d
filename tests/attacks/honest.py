"""A client that behaves, and its backend, in a process of their own.

They must not wait for what attacks: a client in the attacker's loop, or a backend that the attacker keeps
busy, would say nothing of the gateway. Run as `python honest.py`; the first line it writes is the backend's
port, and the first that it reads is the gateway's port and the process to measure. From then on `begin` has
it ask, one request at a time, and `end` has it stop and tell what came of it in a line of JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Final

__all__ = ["cpu_s", "late_s"]

MEANWHILE: Final = 5
"""Answers that there have to be before the client stops."""
PAUSE_S: Final = 0.003
"""Between two requests; an attack is to be measured, not the honest client."""
PATIENCE_S: Final = 30.0
BODY: Final = b"h" * 1024
NS: Final = 1e9


def cpu_s(process: int) -> float:
    """CPU time that a process took so far, all its threads together, in seconds."""
    return _scheduled_s(process, 0)


def late_s(process: int) -> float:
    """How long the threads of a process could have run so far and had no processor, all together, in seconds."""
    return _scheduled_s(process, 1)


def _scheduled_s(process: int, figure: int) -> float:
    """A figure of what the scheduler keeps of each thread, summed up."""
    total = 0
    for file in Path(f"/proc/{process}/task").glob("*/schedstat"):
        try:
            total += int(file.read_text().split()[figure])
        except OSError:
            continue  # the thread has ended
    return total / NS


def serve(listener: socket.socket) -> None:
    """Answer every request of every connection."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    """Answer the requests of a connection; they have no bodies."""
    held = b""
    while data := connection.recv(65536):
        *heads, held = (held + data).split(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        connection.sendall((head + BODY) * len(heads))


class Client:
    """One connection that is kept, for as long as all is well."""

    def __init__(self, port: int, worker: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._worker = worker
        self._stop = threading.Event()

    def ask(self) -> float:
        """Make a request; returns the CPU seconds that the worker took until the answer was there.

        What it took while this process had no processor is taken off: an answer that is there already, or one that the
        backend could give, waits for the machine then and not for the worker.
        """
        before, late = cpu_s(self._worker), late_s(os.getpid())
        self._connection.sendall(b"GET /honest HTTP/1.1\r\nHost: honest.test\r\n\r\n")
        answer = b""
        while not answer.endswith(BODY):
            data = self._connection.recv(65536)
            if not data:
                raise ConnectionError("the gateway closed the connection")
            answer += data
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(answer[:200])
        return max(cpu_s(self._worker) - before - (late_s(os.getpid()) - late), 0.0)

    def run(self, told: dict[str, object]) -> None:
        """Ask until told to stop."""
        waits: list[float] = []
        try:
            while len(waits) < MEANWHILE or not self._stop.is_set():
                waits.append(self.ask())
                time.sleep(PAUSE_S)
        except OSError as error:
            told["failure"] = str(error)
        told["answers"], told["longest_s"] = len(waits), max(waits, default=0.0)

    def stop(self) -> None:
        """Have `run` end soon."""
        self._stop.set()


def main() -> None:
    """Do what standard input says until its end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        print(listener.getsockname()[1], flush=True)  # noqa: T201 (that is the protocol)
        port, worker = map(int, sys.stdin.readline().split())
        for line in sys.stdin:
            assert line == "begin\n"
            client = Client(port, worker)
            told: dict[str, object] = {}
            asking = threading.Thread(target=client.run, args=(told,))
            asking.start()
            assert sys.stdin.readline() == "end\n"
            client.stop()
            asking.join()
            print(json.dumps(told), flush=True)  # noqa: T201 (as above)


if __name__ == "__main__":
    main()
