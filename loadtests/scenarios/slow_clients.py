"""slow-clients: heads, bodies and readers that trickle, beside clients in a hurry.

A slow client is a valid one: it must get its answer, and nobody else may feel it. It speaks through a plain
socket, because no HTTP client is slow enough.
"""

import random
import socket
import time
from collections.abc import Callable
from typing import Any

from locust import FastHttpUser, User, between, constant, task

from loadtests.expecting import Expected, ask
from loadtests.site import Site
from loadtests.talking import WrongAnswerError, connected, timed

ROUTES = ("patient",)
WANTED = ("hurried client", "slow head", "slow body", "slow reader")
HOST = "patient.loadtest.localhost"
LARGE = 6_000_000
"""Bytes; more than the buffers of all sockets on the way hold, so that the backend has to wait."""


def users(site: Site) -> list[type[Any]]:
    """Return the kinds of users."""

    class Hurried(FastHttpUser):
        """Would notice if somebody held the gateway up."""

        wait_time = between(0.0, 0.02)

        @task
        def ask(self) -> None:
            """Ask for something small."""
            ask(self.client, "hurried client", "GET", "patient", "/now", Expected(body=b"/now"))

    class Slow(User):
        """Takes its time, in three ways."""

        wait_time = constant(0)

        @task
        def head(self) -> None:
            """Send a head a few bytes at a time."""
            self.timed("slow head", slow_head)

        @task
        def body(self) -> None:
            """Send a body a few bytes at a time."""
            self.timed("slow body", slow_body)

        @task
        def reader(self) -> None:
            """Take a large answer in small pieces."""
            self.timed("slow reader", slow_reader)

        def timed(self, name: str, talk: Callable[[socket.socket], tuple[bytes, bytes]]) -> None:
            """Talk on a connection of its own, and count it as failed unless the body is right."""

            def have() -> int:
                with connected(site) as sock:
                    expected, answer = talk(sock)
                head, _, body = answer.partition(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200 ") or body != expected:
                    raise WrongAnswerError(f"not what was expected: {answer[:200]!r}")
                return len(answer)

            timed(self.environment, "RAW", name, have)

    return [Hurried, Slow]


def head_of(method: str, path: str, *more: str) -> bytes:
    """Return a request head."""
    lines = (f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", *more)
    return "\r\n".join((*lines, "", "")).encode()


def slow_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """Return the body to expect, and the answer to a head that trickled."""
    trickle(sock, head_of("GET", "/slow"))
    return b"/slow", read_all(sock)


def slow_body(sock: socket.socket) -> tuple[bytes, bytes]:
    """Return the body to expect, and the answer to a body that trickled; it tells the size."""
    size = random.randrange(50, 100)
    sock.sendall(head_of("POST", "/", f"Content-Length: {size}"))
    trickle(sock, b"y" * size)
    return str(size).encode(), read_all(sock)


def slow_reader(sock: socket.socket) -> tuple[bytes, bytes]:
    """Return the body to expect, and an answer that was taken slowly."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    sock.sendall(head_of("GET", f"/bytes/{LARGE}"))
    return b"x" * LARGE, read_all(sock, pause_s=0.02)


def trickle(sock: socket.socket, data: bytes) -> None:
    """Send a few bytes at a time."""
    for at in range(0, len(data), 8):
        sock.sendall(data[at : at + 8])
        time.sleep(0.02)


def read_all(sock: socket.socket, *, pause_s: float = 0.0) -> bytes:
    """Read to the end of the connection, in pieces."""
    data = bytearray()
    while part := sock.recv(65_536):
        data += part
        time.sleep(pause_s)
    return bytes(data)
