"""The server's side of a TLS handshake: what is decided here beside what aioquic does.

aioquic speaks TLS, proves who we are and has a client prove that it has the key of the certificate it shows. Which
certificate is ours, whether clients are asked for one, and whether what they show is believed, is for others to say
(`HandshakeTerms`): all of it is asked within the handshake, so no request is read of a client that is refused.

The methods taken over are private ones of aioquic; `tests/unit/gateway/quic` fails when a release changes them.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import msgspec
from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.connection import MAX_EARLY_DATA
from cryptography.hazmat.primitives.serialization import Encoding

from oto_trio._core import asked_name
from oto_trio.gateway.quic.early import EarlyTickets
from oto_trio.gateway.quic.sessions import Session, Sessions

__all__ = ["HandshakeTerms", "LaterError", "ServerHandshake"]


class LaterError(Exception):
    """The certificate is being made. The connection is forgotten; its client tries again within a second."""


class HandshakeTerms(Protocol):
    """What a server asks, and shows, in its handshakes."""

    def choose(self, name: str | None, /) -> "tuple[Any, list[Any], Any] | None":
        """Return certificate, chain and private key (of `cryptography`) for the name that a client asks for.

        Args:
            name: In lower case, without a final dot; None when it asks for none, or sends an address.

        Returns:
            None when there is none.

        Raises:
            LaterError: One is being made.
        """
        ...

    early: EarlyTickets | None
    """The tickets with which clients may send requests in their first packets; None when none may."""

    def client_auth(self) -> str:
        """Tell whether clients are asked for a certificate: `None`, `Want` or `Need`."""
        ...

    def check(self, chain: list[bytes], /) -> tuple[int, str] | None:
        """Check what a client shows, and has the key of.

        Args:
            chain: In DER, its own certificate first; empty when it shows none.

        Returns:
            The alert of TLS that refuses it, and what is wrong; None when it is taken.
        """
        ...


class _RefusedError(tls.Alert):
    """The client is refused with an alert that has no class of its own."""

    def __init__(self, alert: int, problem: str) -> None:
        super().__init__(problem)
        self.description = alert  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


class ServerHandshake:
    """Joins the terms of a server to the handshake of one connection.

    Args:
        context: aioquic's, of a server, before its first message.
        terms: What is asked and shown.
        sessions: Seals sessions, and opens those of clients that return; None when all handshakes are full ones.
        version: Tells which version of QUIC is spoken.
        is_proven: Whether the client has shown that its address is its own. Requests before the end of the handshake
            are taken of no other: they could come from anywhere.
    """

    def __init__(
        self,
        context: Any,
        terms: HandshakeTerms,
        sessions: Sessions | None = None,
        version: Callable[[], int] = lambda: 1,
        *,
        is_proven: bool = False,
    ) -> None:
        self.server_name: str | None = None
        """The name that the client asked for, in lower case; None also when it sent an address."""
        self.client_chain: list[bytes] = []
        """What the client showed and has the key of, in DER, its own certificate first. Checked."""
        self._terms = terms
        self._auth = "None"
        self._sessions = sessions
        self._version = version
        self._is_proven = is_proven
        self._is_begun = False
        self._resumed: Session | None = None
        self._context = context
        self._handle_hello = context._server_handle_hello  # noqa: SLF001 (there is no other hook)
        self._handle_certificate = context._server_handle_certificate  # noqa: SLF001
        self._handle_verify = context._server_handle_certificate_verify  # noqa: SLF001
        self._handle_finished = context._server_handle_finished  # noqa: SLF001
        context._server_handle_finished = self._on_finished  # noqa: SLF001
        context._server_handle_hello = self._on_hello  # noqa: SLF001
        context._server_handle_certificate = self._on_certificate  # noqa: SLF001
        context._server_handle_certificate_verify = self._on_verify  # noqa: SLF001

    def _on_hello(self, hello: Buffer, initial: Buffer, handshake: Buffer) -> None:
        """Show the certificate for the name that the client asks for, and ask for its own."""
        if self._is_begun:
            # What the first one left behind is not to be joined with what this one asks for.
            raise tls.AlertUnexpectedMessage("a second hello")
        self._is_begun = True
        context = self._context
        read = tls.pull_client_hello(Buffer(data=hello.data_slice(0, hello.capacity)))
        if read.server_name is not None:
            try:
                self.server_name = asked_name(read.server_name)
            except ValueError as error:
                raise tls.AlertDecodeError(str(error)) from error
        chosen = self._terms.choose(self.server_name)
        if chosen is None:
            raise tls.AlertHandshakeFailure("there is no certificate for this name")
        context.certificate, context.certificate_chain, context.certificate_private_key = chosen
        self._auth = self._terms.client_auth()
        context._request_client_certificate = self._auth != "None"  # noqa: SLF001 (as above)
        if self._sessions is not None:
            context.get_session_ticket_cb = partial(self._find, read.early_data)
        self._handle_hello(hello, initial, handshake)
        if context.session_resumed and self._resumed is not None:
            self.client_chain = self._resumed.chain
            if self._auth != "None":
                # The library waits for a certificate that it has not asked for.
                context._server_expect_finished()  # noqa: SLF001

    def _find(self, is_early: bool, identity: bytes) -> tls.SessionTicket | None:  # noqa: FBT001 (of a partial)
        """Return the session that a client would go on with; None when it has to begin anew.

        Args:
            is_early: Whether it sends requests before the handshake is over. The library would take them of any session.
            identity: Its ticket.
        """
        assert self._sessions is not None, "nobody asks otherwise"
        session = self._sessions.open(identity)
        if session is None:
            return None
        is_same = (session.server_name, session.auth, session.version) == (
            self.server_name,
            self._auth,
            self._version(),
        )
        # What was right when it began may be refused now; a full handshake says so.
        if not is_same or (self._auth != "None" and self._terms.check(session.chain) is not None):
            return None
        early = self._terms.early
        if is_early and not (self._is_proven and early is not None and early.take(session.early)):
            return None
        self._resumed = session
        return session.as_ticket(identity)

    def _on_finished(self, message: Buffer, output: Buffer) -> None:
        """The handshake is over: give the client a ticket for the next one."""
        self._handle_finished(message, output)
        context, sessions = self._context, self._sessions
        if sessions is None or context._psk_key_exchange_mode is None:  # noqa: SLF001
            return
        ticket = tls.NewSessionTicket(ticket_age_add=int.from_bytes(os.urandom(4)))
        made = context._build_session_ticket(ticket, [])  # noqa: SLF001
        early = self._terms.early
        resumed = self._resumed if context.session_resumed else None
        session = Session(
            cipher_suite=int(made.cipher_suite),
            secret=made.resumption_secret,
            issued=sessions.unix_clock() if resumed is None else resumed.issued,
            server_name=self.server_name,
            auth=self._auth,
            version=self._version(),
            chain=self.client_chain,
        )
        left_s = sessions.left_s(session)
        if left_s <= 0:
            return
        if early is not None:
            session = msgspec.structs.replace(session, early=early.issue())
        sealed = sessions.seal(session)
        if sealed is None:
            if early is not None:
                early.take(session.early)  # it would stand in the place of one that somebody has
            return
        ticket.ticket, ticket.ticket_lifetime = sealed, left_s
        ticket.max_early_data_size = None if early is None else MAX_EARLY_DATA
        tls.push_new_session_ticket(output, ticket)

    def _on_certificate(self, message: Buffer) -> None:
        """Take what the client shows; where it shows nothing, that is all of it."""
        try:
            self._handle_certificate(message)
        except (tls.Alert, ValueError):
            raise
        except Exception as error:
            # The library for certificates has errors of its own for what it cannot read.
            raise tls.AlertBadCertificate("the certificate cannot be read") from error
        if self._context._peer_certificate is None:  # noqa: SLF001
            self._check([])

    def _on_verify(self, message: Buffer) -> None:
        """Once the client has shown that it has the key: is its certificate believed?"""
        self._handle_verify(message)
        own, others = self._context._peer_certificate, self._context._peer_certificate_chain  # noqa: SLF001
        chain = [it.public_bytes(Encoding.DER) for it in (own, *others)]
        self._check(chain)
        self.client_chain = chain

    def _check(self, chain: list[bytes]) -> None:
        refused = self._terms.check(chain)
        if refused is not None:
            raise _RefusedError(*refused)
