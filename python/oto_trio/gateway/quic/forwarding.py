"""Datagrams that reached another worker than the one that has their connection.

The kernel spreads datagrams over the workers by the client's address. A client that moves to another address, or a
worker that is replaced, has them reach a worker that does not know the connection. The identifier in each says whose it
is, and a Unix datagram socket in the abstract namespace takes it there: its queue in the kernel is the bound,
and what finds it full is dropped, as on any network.

Only processes of this user are heard, by what the kernel says of the sender.
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from oto_trio.gateway.quic.sockets import Address

__all__ = ["Forwarder"]

HEAD: Final = struct.Struct("!BHII")
"""Length of the host, port, and flow and scope of IPv6."""
LARGEST: Final = 65_536
CREDENTIALS: Final = struct.Struct("3i")


class Forwarder:
    """One worker's end.

    Args:
        group: What the workers of a gateway share and no other gateway has.
        prefix: What this worker's connection identifiers begin with.

    Raises:
        OSError: The socket cannot be made.
    """

    def __init__(self, group: str, prefix: bytes) -> None:
        self._group = group
        self.is_closed = False
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self.sock.settimeout(0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self.sock.bind(self._name(prefix))
        except BaseException:
            self.sock.close()
            raise

    def forward(self, prefix: bytes, data: bytes, address: Address) -> bool:
        """Send a datagram to the worker whose prefix this is; False when there is none."""
        host = str(address[0]).encode()
        flow, scope = (address[2], address[3]) if len(address) == 4 else (0, 0)
        head = HEAD.pack(len(host), address[1], flow, scope)
        try:
            self.sock.sendto(head + host + data, self._name(prefix))
        except ConnectionRefusedError:
            return False
        except OSError:
            pass  # it is there, and has no room, or the datagram is too large for it
        return True

    def read(self, most: int) -> Iterator[tuple[bytes, Address]]:
        """Yield datagrams that others forwarded, `most` at most."""
        for _ in range(most):
            try:
                data, told, _, _ = self.sock.recvmsg(LARGEST, socket.CMSG_SPACE(CREDENTIALS.size))
            except OSError:
                return
            if not any(_is_ours(*it) for it in told):
                continue
            with suppress(struct.error, UnicodeDecodeError):
                length, port, flow, scope = HEAD.unpack_from(data)
                start = HEAD.size + length
                host = data[HEAD.size : start].decode("ascii")
                yield data[start:], (host, port, flow, scope) if ":" in host else (host, port)

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self.is_closed = True
        self.sock.close()

    def _name(self, prefix: bytes) -> bytes:
        return b"\0oto-trio-quic-" + self._group.encode() + b"-" + prefix.hex().encode()


def _is_ours(level: int, kind: int, value: bytes) -> bool:
    """Whether a control message says that the sender is a process of this user."""
    if level != socket.SOL_SOCKET or kind != socket.SCM_CREDENTIALS:
        return False
    _, user, _ = CREDENTIALS.unpack(value)
    return bool(user == os.geteuid())
