"""What is done about datagrams of connections that nobody knows: the server's side of a beginning.

A datagram that begins nothing is dropped, and leaves nothing behind. One of a version that is not spoken is answered
with those that are. One that begins a connection makes one; while many handshakes are under way its sender has to
show first that the address is its own (a Retry packet), which costs no memory.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from oto_trio.gateway.quic.connection import CID_BYTES, QuicState
from oto_trio.gateway.quic.handshake import HandshakeTerms
from oto_trio.gateway.quic.secrets import ADDRESS_TOKEN_BYTES

if TYPE_CHECKING:
    from oto_trio.gateway.quic.endpoint import QuicEndpoint, QuicLink, QuicOwner
    from oto_trio.gateway.quic.sockets import Address, Datagrams

__all__ = ["Acceptor"]

VERSION_BYTES: Final = slice(1, 5)
PENDING: Final = object()
"""Stands for the certificate until it is chosen."""


class Acceptor:
    """Begins connections of clients.

    Args:
        protocols: The application protocols that are spoken (ALPN), the best first.
        terms: Given the socket that a client came on, tells what is asked and shown in its handshake.
        make_owner: Makes the owner of a connection, given its link, the socket that it came on and the time.
    """

    def __init__(
        self,
        protocols: list[str],
        terms: Callable[["Datagrams"], HandshakeTerms],
        make_owner: Callable[["QuicLink", "Datagrams", float], "QuicOwner"],
    ) -> None:
        self.is_open = True
        """Whether connections are begun; those that are there go on."""
        self.retired: set[Datagrams] = set()
        """Sockets on which none are begun any more."""
        self.retries = 0
        """How often a client was asked to show its address."""
        self._unread = self._unread_at = 0.0
        self._protocols = protocols
        self._terms = terms
        self._make_owner = make_owner
        self._tokens = QuicRetryTokenHandler()
        self._versions = QuicConfiguration(is_client=False).supported_versions

    def hear(
        self,
        endpoint: "QuicEndpoint",
        data: bytes,
        address: "Address",
        path: "Datagrams",
        now: float,
    ) -> "QuicLink | None":
        """Look at a datagram with a long header that belongs to no connection.

        Returns:
            The connection that it begins, which is to be given the datagram; None when there is none.
        """
        if len(data) < SMALLEST_MAX_DATAGRAM_SIZE or not self.is_open or path in self.retired:
            return None
        version = int.from_bytes(data[VERSION_BYTES])
        if version == 0:
            return None
        try:
            if version not in self._versions:
                self._tell_versions(data, address, path)
                return None
            header = pull_quic_header(Buffer(data=data), host_cid_length=CID_BYTES)
        except ValueError:
            return None
        if header.packet_type != QuicPacketType.INITIAL or len(header.destination_cid) < 8:
            return None
        return self._begin(endpoint, header, address, path, now)

    def _tell_versions(self, data: bytes, address: "Address", path: "Datagrams") -> None:
        """Answer with the versions that are spoken; the answer is smaller than what asked for it."""
        ours = data[6 : 6 + data[5]]
        start = 6 + len(ours)
        theirs = data[start + 1 : start + 1 + data[start]]
        answer = encode_quic_version_negotiation(
            source_cid=ours, destination_cid=theirs, supported_versions=self._versions
        )
        path.send([(answer, address)])

    def _begin(
        self,
        endpoint: "QuicEndpoint",
        header: QuicHeader,
        address: "Address",
        path: "Datagrams",
        now: float,
    ) -> "QuicLink | None":
        limits = endpoint.limits
        handshakes = endpoint.handshakes
        if len(endpoint.links) >= limits.connections or handshakes >= limits.handshakes:
            return None
        original, retried, is_proven = header.destination_cid, None, False
        if endpoint.secrets is not None and endpoint.secrets.knows_address(
            str(address[0]), header.version or 0, header.token
        ):
            # It need not show its address again; no more is sent there for it than to others.
            is_proven = True
        elif len(header.token) > ADDRESS_TOKEN_BYTES:
            try:
                original = self._tokens.validate_token(
                    address=address,
                    destination_cid=header.destination_cid,
                    token=header.token,
                    now=now,
                )
                retried, is_proven = header.destination_cid, True
            except ValueError:
                if self._doubts(endpoint, now):
                    return None
        elif self._doubts(endpoint, now):
            self._retry(endpoint, header, address, path, now)
            return None
        configuration = QuicConfiguration(is_client=False, alpn_protocols=self._protocols)
        # The library asks for them now; the client has not said yet for which name.
        configuration.certificate = configuration.private_key = PENDING
        state = QuicState(
            configuration,
            limits,
            endpoint.prefix,
            secrets=endpoint.secrets,
            terms=self._terms(path),
            original_cid=original,
            retry_cid=retried,
            begun_from=address,
            is_proven=is_proven,
        )
        link = endpoint.enter(state, path, now)
        endpoint.know(link, header.destination_cid)
        link.owner = self._make_owner(link, path, now)
        return link

    def note_unread(self, endpoint: "QuicEndpoint", now: float) -> None:
        """Note that a connection was begun for a datagram that could not be read: much work for nothing."""
        left = self._unread - (now - self._unread_at) * endpoint.limits.unread_per_s
        self._unread = max(left, 0.0) + 1
        self._unread_at = now

    def _doubts(self, endpoint: "QuicEndpoint", now: float) -> bool:
        """Whether clients have to show first that their address is their own."""
        limits = endpoint.limits
        left = self._unread - (now - self._unread_at) * limits.unread_per_s
        return endpoint.handshakes >= limits.trusted_handshakes or left >= limits.unread

    def _retry(
        self,
        endpoint: "QuicEndpoint",
        header: QuicHeader,
        address: "Address",
        path: "Datagrams",
        now: float,
    ) -> None:
        """Have a client show that it hears what is sent to its address."""
        self.retries += 1
        cid = endpoint.make_identifier()
        token = self._tokens.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=cid,
            now=now,
        )
        answer = encode_quic_retry(
            version=header.version or 0,
            source_cid=cid,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        path.send([(answer, address)])
