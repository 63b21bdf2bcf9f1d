"""A UDP socket read and written in batches.

Where the kernel can, it joins the datagrams of a peer into one read (UDP_GRO) and cuts one write into datagrams
(UDP_SEGMENT): most of what a datagram costs is its system call. Where it cannot, each datagram is a call.
"""

import errno
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

from oto_trio.gateway.quic.path_mtu import BASE_BYTES

__all__ = ["Address", "Datagrams"]

Address: TypeAlias = tuple[Any, ...]
"""Where a datagram comes from or goes to, as the socket module has it: host, port and, in IPv6, two more."""

SOL_UDP: Final = 17
UDP_SEGMENT: Final = 103
UDP_GRO: Final = 104
IP_MTU_DISCOVER: Final = 10
IPV6_MTU_DISCOVER: Final = 23
PMTUDISC_PROBE: Final = 3
MOST_SEGMENTS: Final = 64
"""Datagrams that the kernel cuts from one write, at most."""
MOST_BYTES: Final = 65_000
"""Bytes of one write; those of a UDP datagram, headers left out."""
READ_BYTES: Final = 65_536
GATHERED_BYTES: Final = 256 * 1024
"""What is read before anything is done with it, and a read more."""
BUFFER_BYTES: Final = 2 * 1024 * 1024
"""What the kernel is asked to keep for each direction; it gives what it is set to."""
NEVER_SEGMENTS: Final = frozenset({errno.EIO, errno.ENOPROTOOPT})
"""Why a write that was to be cut fails: this kernel or this device cannot."""
NO_SEGMENTS: Final = NEVER_SEGMENTS | {errno.EINVAL, errno.EMSGSIZE}
"""The same, or because the datagrams are larger than this path carries: others may be cut still."""


class Datagrams:
    """One bound UDP socket, not blocking.

    Args:
        sock: The socket; it is owned from here on, until `close`.
        most_waiting: Datagrams kept while the socket takes none.
    """

    def __init__(self, sock: socket.socket, most_waiting: int) -> None:
        sock.settimeout(0)
        self.sock = sock
        self.is_closed = False
        self.dropped = 0
        """Datagrams that were not sent because too many waited."""
        self.on_refused: Callable[[], None] | None = None
        """Called when the other end's machine says that nobody listens there; a connected socket is told."""
        self._most_waiting = most_waiting
        self._waiting: deque[tuple[bytes, Address]] = deque()
        self._space = bytearray(READ_BYTES)
        self._cuts = True
        for name in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, name, BUFFER_BYTES)
        with suppress(OSError):
            sock.setsockopt(SOL_UDP, UDP_GRO, 1)
        # No datagram is cut on its way: how large they may be is found by trying.
        is_ipv6 = sock.family == socket.AF_INET6
        with suppress(OSError):
            if is_ipv6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
            # Of a socket of both families, too.
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)

    @property
    def waits(self) -> bool:
        """Whether datagrams wait until the socket is writable."""
        return bool(self._waiting)

    def read(self, most: int) -> Iterator[tuple[bytes, int, Address]]:
        """Yield what is there, in order, after `most` reads at most.

        Each is a run of datagrams of one peer, one behind the other, with the length of each but the last, which may be
        shorter.
        """
        for _ in range(most):
            if self.is_closed:
                return
            try:
                size, told, _, address = self.sock.recvmsg_into([self._space], 64)
            except BlockingIOError:
                return
            except OSError as error:
                self._note(error)
                # What an earlier datagram of ours met on its way (ICMP); the next read is a fresh one.
                continue
            step = size
            for level, kind, value in told:
                if level == SOL_UDP and kind == UDP_GRO and len(value) >= 4:
                    step = struct.unpack_from("=i", value)[0]
            yield bytes(memoryview(self._space)[:size]), step if 0 < step < size else size, address

    def gather(self, most: int) -> list[tuple[Address, list[tuple[bytes, int]]]]:
        """Return what is there, by who sent it: as of `read`, after `GATHERED_BYTES` or `most` reads at most.

        What somebody sent comes in order, in parts of no more datagrams than one write has.
        """
        found: list[tuple[Address, list[tuple[bytes, int]]]] = []
        room: dict[Address, tuple[int, list[tuple[bytes, int]]]] = {}
        left = GATHERED_BYTES
        for run, step, address in self.read(most):
            count = -(-len(run) // max(step, 1))
            part = room.get(address)
            if part is None or count > part[0]:
                runs: list[tuple[bytes, int]] = []
                part = max(MOST_SEGMENTS, count), runs
                found.append((address, runs))
            free, runs = part
            room[address] = free - count, runs
            runs.append((run, step))
            left -= len(run)
            if left <= 0:
                break
        return found

    def send(self, datagrams: Sequence[tuple[bytes, Address]]) -> None:
        """Send, in order; what the socket does not take now waits, see `waits`."""
        if self._waiting:
            self._keep(datagrams)
            return
        start = 0
        while start < len(datagrams):
            end = self._run(datagrams, start)
            if not self._write(datagrams[start:end]):
                self._keep(datagrams[start:])
                return
            start = end

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        waiting = list(self._waiting)
        self._waiting.clear()
        self.send(waiting)

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self.is_closed = True
        self._waiting.clear()
        self.sock.close()

    def _note(self, error: OSError) -> None:
        if error.errno == errno.ECONNREFUSED and self.on_refused is not None:
            self.on_refused()

    def _keep(self, datagrams: Sequence[tuple[bytes, Address]]) -> None:
        room = max(self._most_waiting - len(self._waiting), 0)
        self._waiting.extend(datagrams[:room])
        self.dropped += max(len(datagrams) - room, 0)

    def _run(self, datagrams: Sequence[tuple[bytes, Address]], start: int) -> int:
        """Return the end of those that one write can carry: to one address, of one size, the last may be smaller."""
        if not self._cuts:
            return start + 1
        first, address = datagrams[start]
        size, total, end = len(first), len(first), start + 1
        while end < len(datagrams) and end - start < MOST_SEGMENTS:
            data, to = datagrams[end]
            total += len(data)
            if len(data) > size or to != address or total > MOST_BYTES:
                break
            end += 1
            if len(data) < size:
                break
        return end

    def _write(self, run: Sequence[tuple[bytes, Address]]) -> bool:
        """Write what `_run` found; False when the socket takes nothing now."""
        address = run[0][1]
        try:
            if len(run) == 1:
                self.sock.sendto(run[0][0], address)
            else:
                size = struct.pack("=H", len(run[0][0]))
                parts = [data for data, _ in run]
                self.sock.sendmsg(parts, [(SOL_UDP, UDP_SEGMENT, size)], 0, address)
        except BlockingIOError:
            return False
        except OSError as error:
            if len(run) > 1 and error.errno in NO_SEGMENTS:
                # What tries whether a path carries more may stand in front of what it does carry.
                if error.errno in NEVER_SEGMENTS or len(run[0][0]) <= BASE_BYTES:
                    self._cuts = False
                for index, one in enumerate(run):
                    if not self._write([one]):
                        self._keep(run[index:])
                        return True
            self._note(error)
            # A peer that cannot be reached is one that does not answer: QUIC finds out by itself.
        return True
