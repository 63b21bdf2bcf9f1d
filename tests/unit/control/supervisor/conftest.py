"""What the tests of this room share."""

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    opened = [socket.socket() for _ in range(2)]
    yield opened
    for sock in opened:
        sock.close()
