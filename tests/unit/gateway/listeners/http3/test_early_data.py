"""Requests with a client's first packets: off unless wanted, each ticket once, and nobody can play one again."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.h3.connection import H3Connection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted
from typing_extensions import override

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.http3 import Http3Session
from oto_trio.gateway.listeners.http3.early import is_harmless, marked
from oto_trio.gateway.quic import QuicSecrets
from oto_trio.gateway.quic.early import EarlyTickets
from oto_trio.gateway.quic.sessions import Sessions
from tests.unit.gateway.listeners.http3.played import HEAD, OK, Client, RememberingEngine
from tests.unit.gateway.quic.network import CLIENT, SERVER, Net, certificate

if TYPE_CHECKING:
    from collections.abc import Generator

    from aioquic.tls import SessionTicket

    from oto_trio.gateway.quic import QuicLink

ELSEWHERE = ("198.51.100.7", 5)
"""Another port of the client's machine: there is no token for other machines."""
EARLY = (b"early-data", b"1")


class Played(Net):
    """A server of HTTP/3 that takes early data, and its engine."""

    def __init__(self) -> None:
        super().__init__(secrets=QuicSecrets(b"of these tests", lambda: 1e9 + self.now))
        self.terms.early = EarlyTickets()
        self.engine = RememberingEngine()
        self.sessions: list[Http3Session] = []

    @override
    def own(self, link: QuicLink, path: object, now: float) -> Any:
        engine: Any = self.engine
        session = Http3Session(engine, link, 1, {}, now)
        self.sessions.append(session)
        return session

    def another_worker(self) -> None:
        """The kernel gives what comes to another worker of the gateway, or to one that took a crashed one's place."""
        self.crash()
        self.terms.early = EarlyTickets()

    def ticket(self, **shown: Any) -> SessionTicket:
        """Make a connection for the ticket that comes of it."""
        self.tickets.clear()
        self.tokens.clear()
        client = self.connect(verify_mode=0, **shown)
        assert self.run(lambda: bool(self.tickets and self.tokens))
        client.link.close(0, "", self.now)
        self.client.settle(self.now)
        self.run(most_s=1)
        return self.tickets[0]

    def ask_early(
        self, ticket: SessionTicket, *heads: Any, body: bytes = b"", token: bytes | None = None
    ) -> Client:
        """Send requests with the first packets; nothing arrives yet."""
        token = self.tokens[0] if token is None else token
        owner = self.connect(verify_mode=0, session_ticket=ticket, token=token)
        client = Client(owner.link)
        client.h3 = H3Connection(owner.link.state)
        owner.link.owner = client
        for head in heads:
            stream = client.link.state.get_next_available_stream_id()
            client.h3.send_headers(stream, head, end_stream=not body)
            if body:
                client.h3.send_data(stream, body, end_stream=True)
        client.link.transmit(self.now)
        return client


@contextmanager
def played() -> Generator[Played]:
    net = Played()
    try:
        yield net
    finally:
        net.server.close()


def sent_since(net: Played, count: int) -> list[bytes]:
    """What a client sent since then: all that somebody on its way could have seen."""
    return list(net.wires["client"].sent[count:])


def was_too_early(client: Client) -> bool:
    return bool(client.heads.get(0, [{}])[0].get(b":status") == b"425")


def replay(net: Played, datagrams: list[bytes]) -> None:
    for data in datagrams:
        net.server.receive(data, ELSEWHERE, net.wires["server"], net.now)
        net.server.settle(net.now)


def test_a_safe_request_begins_before_the_handshake_is_over() -> None:
    with played() as net:
        ticket = net.ticket()
        client = net.ask_early(ticket, HEAD)
        assert net.run(lambda: bool(net.engine.opened))
        session = net.sessions[-1]
        state = session._link.state
        assert not state.is_established
        (fields,) = net.engine.opened
        assert list(fields) == [*HEAD, EARLY]
        session.answer(1, OK, b"body")
        session.flush(net.now)
        assert net.run(lambda: client.saw(HandshakeCompleted))
        net.run(most_s=0.5)
        assert session._link.state.is_established
        assert client.link.state.tls.early_data_accepted
        # What comes behind it is not marked.
        client.h3.send_headers(4, HEAD, end_stream=True)
        client.link.transmit(net.now)
        assert net.run(lambda: len(net.engine.opened) == 2)
        assert list(net.engine.opened[1]) == HEAD


def test_early_data_that_was_seen_is_worth_nothing_to_others() -> None:
    with played() as net:
        ticket = net.ticket()
        count = len(net.wires["client"].sent)
        net.ask_early(ticket, HEAD)
        seen = sent_since(net, count)
        assert net.run(lambda: bool(net.engine.opened))
        net.run(most_s=1)
        assert len(net.engine.opened) == 1
        # To the same worker, while it has the connection and after that ...
        replay(net, seen)
        net.run(most_s=1)
        for link in list(net.server.links):
            net.server.forget(link, net.now)
        for _ in range(3):
            replay(net, seen)
            net.run(most_s=1)
        # ... and to another one.
        net.another_worker()
        replay(net, seen)
        net.run(most_s=1)
        assert len(net.engine.opened) == 1


def test_what_never_arrived_may_arrive_once_whoever_sends_it() -> None:
    with played() as net:
        ticket = net.ticket()
        count = len(net.wires["client"].sent)
        net.loss = 1.0
        client = net.ask_early(ticket, HEAD)
        seen = sent_since(net, count)
        net.client.forget(client.link, net.now)
        net.loss = 0.0
        for _ in range(3):
            replay(net, seen)
            net.run(most_s=1)
            for link in list(net.server.links):
                net.server.forget(link, net.now)
        assert len(net.engine.opened) == 1


@pytest.mark.parametrize("token", ["none", "of another address"])
def test_who_has_not_shown_its_address_is_not_early(token: str) -> None:
    with played() as net:
        ticket = net.ticket()
        if token != "none":
            net.wires["client"].address = ("203.0.113.5", 5)
        client = net.ask_early(ticket, HEAD, token=b"" if token == "none" else None)
        assert net.run(lambda: client.saw(HandshakeCompleted))
        assert not net.sessions[-1]._link.state.takes_early
        assert net.run(lambda: len(net.engine.opened) == 1)
        assert list(net.engine.opened[0]) == HEAD


def test_a_ticket_is_early_once_and_a_client_that_uses_it_again_begins_anew() -> None:
    with played() as net:
        ticket = net.ticket()
        net.ask_early(ticket, HEAD)
        assert net.run(lambda: len(net.engine.opened) == 1)
        net.run(most_s=1)
        for use in ("again", "elsewhere"):
            if use == "elsewhere":
                ticket = net.ticket()
                net.another_worker()
            before = len(net.engine.opened)
            client = net.ask_early(ticket, HEAD)
            assert net.run(lambda: client.saw(HandshakeCompleted))  # noqa: B023 (it is called here)
            assert net.run(lambda: len(net.engine.opened) == before + 1)  # noqa: B023
            assert not net.sessions[-1]._link.state.is_resumed
            assert list(net.engine.opened[-1]) == HEAD, "sent again behind the handshake"


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"CONNECT", b"LIST"])
def test_what_might_change_something_is_too_early(method: bytes) -> None:
    with played() as net:
        head = [(b":method", method), *HEAD[1:]]
        client = net.ask_early(net.ticket(), head)
        assert net.run(lambda: client.saw(HandshakeCompleted))
        assert net.run(lambda: was_too_early(client))
        net.run(most_s=1)
        assert not net.engine.opened
        assert not client.saw(ConnectionTerminated)


def test_a_body_is_too_early() -> None:
    with played() as net:
        client = net.ask_early(net.ticket(), HEAD, body=b"b" * 5000)
        assert net.run(lambda: was_too_early(client))
        net.run(most_s=1)
        assert not net.engine.opened
        assert not net.engine.fed
        # The same request again, now that the handshake is over.
        client.h3.send_headers(4, HEAD, end_stream=True)
        client.link.transmit(net.now)
        assert net.run(lambda: len(net.engine.opened) == 1)


def test_it_is_off_unless_it_is_wanted() -> None:
    with played() as net:
        net.terms.early = None
        ticket = net.ticket()
        assert ticket.max_early_data_size is None
        net.terms.early = EarlyTickets()
        wanted = net.ticket()
        assert wanted.max_early_data_size == 0xFFFFFFFF
        # One that was given while it was off is good for a session, and not for early data.
        bold = replace(ticket, max_early_data_size=0xFFFFFFFF)
        bold.other_extensions[:] = wanted.other_extensions
        client = net.ask_early(bold, HEAD)
        assert net.run(lambda: client.saw(HandshakeCompleted))
        assert not net.sessions[-1]._link.state.is_resumed


def test_a_handshake_that_never_ends_takes_its_requests_with_it() -> None:
    with played() as net:
        ticket = net.ticket()
        net.engine.hung_up = False
        client = net.ask_early(ticket, HEAD)
        assert net.run(lambda: bool(net.engine.opened))
        net.client.forget(client.link, net.now)
        net.run(lambda: net.engine.hung_up, most_s=20)
        assert net.engine.resets == [1]
        net.run(most_s=20)
        assert not net.server.links


def test_unused_tickets_have_a_bound() -> None:
    tickets = EarlyTickets(most=3)
    names = [tickets.issue() for _ in range(5)]
    assert len(tickets) == 3
    assert [tickets.take(name) for name in names] == [False, False, True, True, True]
    assert not any(tickets.take(name) for name in (*names, b""))


@pytest.mark.parametrize("why", ["too large", "over"])
def test_a_ticket_that_is_not_given_takes_the_place_of_none(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with played() as net:
        net.terms.auth = "Want"
        leaf, _, key = certificate("client.test")
        many = 20 if why == "too large" else 0
        if why == "over":
            monkeypatch.setattr(Sessions, "left_s", lambda *_: 0)
        client = net.connect(
            verify_mode=0, certificate=leaf, certificate_chain=[leaf] * many, private_key=key
        )
        assert net.run(lambda: client.saw(HandshakeCompleted))
        net.run(most_s=1)
        assert len(net.sessions[-1]._link.state.client_chain) == 1 + many
        assert not net.tickets
        assert net.terms.early is not None
        assert len(net.terms.early) == 0


def test_a_head_says_once_that_it_came_early() -> None:
    twice = FieldBlock([*HEAD, (b"early-data", b"0"), (b"a", b"b"), (b"early-data", b"1")])
    assert list(marked(twice)) == [*HEAD, (b"a", b"b"), EARLY]
    assert is_harmless(FieldBlock(HEAD), end=True)
    assert not is_harmless(FieldBlock(HEAD), end=False)
    assert not is_harmless(FieldBlock([(b":path", b"/")]), end=True)


@pytest.mark.parametrize("is_early", [False, True])
def test_a_client_is_who_it_was_when_it_began_whatever_its_packets_say(is_early: bool) -> None:
    """Once the handshake is over; what said another address before that was not heard."""
    with played() as net:
        carried, spoofed = net.carry, ("192.0.2.66", 66)
        ticket = net.ticket()
        known = len(net.sessions)

        def spoof(data: bytes, source: Any, to: Any) -> None:
            done = len(net.sessions) > known and net.sessions[-1]._link.state.is_established
            carried(data, spoofed if to == SERVER and done else source, to)

        net.carry = spoof  # type: ignore[method-assign]
        client = net.ask_early(ticket, HEAD) if is_early else net.connect(verify_mode=0)
        assert net.run(lambda: client.saw(HandshakeCompleted))
        client.link.state.send_ping(1)
        client.link.transmit(net.now)
        assert net.run(lambda: net.sessions[-1]._link.peer == spoofed)
        assert net.sessions[-1].conn == 7
        assert net.engine.ip == CLIENT[0]


@pytest.mark.parametrize("spoofed", [("192.0.2.66", 66), (CLIENT[0], 66)])
def test_nobody_begins_in_the_name_of_another(spoofed: Any) -> None:
    """A first packet with a false address, and the rest from where the answers are wanted."""
    with played() as net:
        carried = net.carry

        def spoof(data: bytes, source: Any, to: Any) -> None:
            is_first = to == SERVER and len(net.wires["client"].sent) == 1
            carried(data, spoofed if is_first else source, to)

        net.carry = spoof  # type: ignore[method-assign]
        client = net.connect(verify_mode=0)
        (hello,) = net.wires["client"].sent
        net.run(most_s=5)
        assert len(net.wires["client"].sent) > 1, "the hello again"
        (session,) = net.sessions
        assert not client.saw(HandshakeCompleted)
        assert session.conn == -1
        assert session._link.peer == spoofed
        assert sum(len(it) for it in net.wires["server"].sent) <= 3 * len(hello)


def with_a_share_of(size: int) -> tuple[tls.Group, bytes]:
    return tls.Group.X25519, bytes(size)


def say_hello_again(client: Client, ticket: SessionTicket) -> None:
    """Send a second hello, which goes on with another session in a suite that is not its own."""
    state: Any = client.link.state
    context = state.tls
    (other,) = {*context._cipher_suites[:2]} - {ticket.cipher_suite}
    context._cipher_suites = [other]
    context.session_ticket = replace(ticket, max_early_data_size=None)
    context.state = tls.State.CLIENT_HANDSHAKE_START
    context.handle_message(b"", state._crypto_buffers)
    state._push_crypto_data()


def test_a_second_hello_takes_over_nobodys_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one goes on with a session of its sender and fails behind that; the second names a ticket that was seen."""
    with played() as net:
        net.terms.auth = "Want"
        leaf, chain, key = certificate("client.test")
        seen = net.ticket(certificate=leaf, certificate_chain=chain, private_key=key)
        assert net.engine.chain
        own = net.ticket()
        assert not net.engine.chain
        known, count = len(net.sessions), len(net.wires["client"].sent)
        carry, net.carry = net.carry, lambda *_: None  # type: ignore[method-assign]
        with monkeypatch.context() as broken:
            broken.setattr(tls, "encode_public_key", lambda _: with_a_share_of(3))
            client = net.ask_early(own)
        say_hello_again(client, seen)
        client.link.transmit(net.now)
        client.h3.send_headers(0, HEAD, end_stream=True)
        client.link.transmit(net.now)
        net.carry = carry  # type: ignore[method-assign]
        for data in sent_since(net, count):
            net.server.receive(data, CLIENT, net.wires["server"], net.now)
        net.server.settle(net.now)
        assert len(net.sessions) == known + 1
        state = net.sessions[-1]._link.state
        assert state.is_resumed, "as the first hello wanted"
        assert state.is_closing
        assert state.client_chain == []
        assert not net.engine.opened
        assert not net.engine.chain


def test_a_handshake_has_one_hello() -> None:
    with played() as net:
        client = net.connect(verify_mode=0)
        assert net.run(lambda: client.saw(HandshakeCompleted))
        context: Any = net.sessions[-1]._link.state.tls
        hello = Buffer(data=b"")
        with pytest.raises(tls.AlertUnexpectedMessage):
            context._server_handle_hello(hello, hello, hello)


def test_nothing_is_read_behind_what_was_wrong() -> None:
    with played() as net:
        client = Client(net.connect(verify_mode=0).link)
        client.link.owner = client
        assert net.run(lambda: client.h3 is not None)
        session = net.sessions[-1]
        assert net.run(lambda: session._link.state.is_established)
        net.run(most_s=1)
        session._link.state.close(0x10A)
        before = len(net.wires["client"].sent)
        client.h3.send_headers(0, HEAD, end_stream=True)
        client.link.transmit(net.now)
        for data in net.wires["client"].sent[before:]:
            session._link.state.receive_datagram(data, ELSEWHERE, net.now)
        assert not session._link.state.is_known(0)
