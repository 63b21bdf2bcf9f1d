"""Sessions that go on: on any worker, for whom they began, and never past what would be refused now."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from aioquic.quic.connection import MAX_EARLY_DATA
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted
from aioquic.quic.packet import QuicProtocolVersion

from oto_trio.gateway.quic import QuicSecrets
from oto_trio.gateway.quic.sessions import LARGEST, TICKET_S, Session, Sessions
from tests.unit.gateway.quic.gate import ALERT, Gate, good, issued

if TYPE_CHECKING:
    from collections.abc import Generator

    from aioquic import tls

NAME = "api.test"


@contextmanager
def gate(**settings: Any) -> Generator[Gate]:
    made = Gate(secret=b"of these tests", **settings)
    try:
        yield made
    finally:
        made.server.close()


def visit(
    at: Gate, ticket: tls.SessionTicket | None = None, **more: Any
) -> list[tls.SessionTicket]:
    """Make a connection, with a ticket; return those that come of it."""
    at.tickets.clear()
    client = at.connect(verify_mode=0, session_ticket=ticket, **more)
    at.run(lambda: client.saw(ConnectionTerminated), most_s=1)
    at.ended = [it.error_code for it in client.events if isinstance(it, ConnectionTerminated)]
    assert client.saw(HandshakeCompleted) or at.ended
    return list(at.tickets)


def is_resumed(at: Gate) -> bool:
    state = at.owners[-1].link.state
    assert state.tls.early_data_accepted is False
    return state.is_resumed


def test_a_session_goes_on_at_any_worker() -> None:
    with gate(client_auth="None") as at:
        (ticket,) = visit(at)
        assert not is_resumed(at)
        (second,) = visit(at, ticket)
        assert is_resumed(at)
        at.crash()
        visit(at, second)
        assert is_resumed(at)
        # Bytes pass on it.
        client = at.connect(verify_mode=0, session_ticket=second)
        assert at.run(lambda: client.saw(HandshakeCompleted))
        client.link.state.send_stream_data(0, b"hello", end_stream=True)
        client.link.transmit(at.now)
        assert at.run(lambda: at.owners[-1].received.get(0) == bytearray(b"hello"))


def test_without_a_secret_in_common_all_handshakes_are_full_ones() -> None:
    assert visit(Gate(client_auth="None")) == []


@pytest.mark.parametrize("how", ["name", "secret", "broken", "late", "version", "cut", "empty"])
def test_a_ticket_is_for_its_gateway_its_server_name_and_its_time(how: str) -> None:
    with gate(client_auth="None") as at:
        (ticket,) = visit(at)
        more: dict[str, Any] = {}
        if how == "name":
            ticket, more = replace(ticket, server_name="other.test"), {"name": "other.test"}
        elif how == "secret":
            at.secrets = QuicSecrets(b"another", lambda: at.now)
            at.crash()
        elif how == "broken":
            sealed = ticket.ticket
            ticket = replace(ticket, ticket=sealed[:-1] + bytes([sealed[-1] ^ 1]))
        elif how == "late":
            at.now += TICKET_S + 1
        elif how == "version":
            more["supported_versions"] = [QuicProtocolVersion.VERSION_2]
        else:
            ticket = replace(ticket, ticket=ticket.ticket[: 20 if how == "cut" else 0])
        visit(at, ticket, **more)
        assert not at.ended
        assert not is_resumed(at)


def test_going_on_makes_a_session_no_younger() -> None:
    with gate(client_auth="None") as at:
        (ticket,) = visit(at)
        at.now += TICKET_S - 100
        (second,) = visit(at, ticket)
        assert is_resumed(at)
        assert (second.not_valid_after - second.not_valid_before).total_seconds() <= 100
        at.now += 200
        visit(at, replace(second, not_valid_after=ticket.not_valid_after))
        assert not is_resumed(at)


def test_a_client_with_a_certificate_goes_on_with_it() -> None:
    with gate() as at:
        (ticket,) = visit(at, **good())
        shown = at.owners[-1].link.state.client_chain
        assert shown
        visit(at, ticket)  # without the certificate, which nobody asks for
        assert not at.ended
        assert is_resumed(at)
        assert at.owners[-1].link.state.client_chain == shown
        assert at.take_in() > 0


def test_none_goes_on_past_a_certificate_that_would_be_refused_now() -> None:
    with gate() as at:
        (ticket,) = visit(at, **good())
        at.set(client_auth="Need", trusted_cas=["server"])
        visit(at, ticket, **good())
        assert at.ended == [ALERT + 48]
        at.set()
        visit(at, ticket)
        assert is_resumed(at)
        # Nor past its end, though the session is young.
        (brief,) = visit(at, **issued(days=(-1, 0.05)))
        visit(at, brief)
        assert is_resumed(at)
        at.now += 0.1 * 86400
        visit(at, brief)
        assert at.ended == [ALERT + 116]


def test_a_session_without_a_certificate_does_not_go_on_where_one_is_asked_for() -> None:
    with gate(client_auth="None") as at:
        (ticket,) = visit(at)
        at.set(client_auth="Need")
        visit(at, ticket)
        assert at.ended == [ALERT + 116]
        at.set(client_auth="Want")
        (wanted,) = visit(at, ticket)
        assert not at.ended
        assert not is_resumed(at)
        visit(at, wanted)
        assert is_resumed(at)
        assert at.owners[-1].link.state.client_chain == []
        at.set(client_auth="Need")
        visit(at, wanted)
        assert at.ended == [ALERT + 116]


def test_a_stolen_ticket_is_worth_nothing_without_its_secret() -> None:
    with gate() as at:
        (ticket,) = visit(at, **good())
        visit(at, replace(ticket, resumption_secret=bytes(len(ticket.resumption_secret))))
        assert at.ended
        assert not at.owners[-1].saw(HandshakeCompleted)


def test_requests_before_the_end_of_the_handshake_are_never_taken() -> None:
    with gate(client_auth="None") as at:
        (ticket,) = visit(at)
        assert ticket.max_early_data_size is None
        # A client that sends some all the same: what it sends is not read, and it begins anew.
        extensions = at.owners[-1].link.state.tls.handshake_extensions
        bold = replace(ticket, max_early_data_size=MAX_EARLY_DATA, other_extensions=extensions)
        client = at.connect(verify_mode=0, session_ticket=bold)
        client.link.state.send_stream_data(0, b"early", end_stream=True)
        client.link.transmit(at.now)
        played = at.wires["client"].sent[-2:]
        assert at.run(lambda: client.saw(HandshakeCompleted))
        assert not is_resumed(at)
        # Played to another worker, by somebody who saw it pass, it makes no request either.
        at.crash()
        known = len(at.owners)
        for data in played:
            at.server.receive(data, ("203.0.113.5", 5), at.wires["server"], at.now)
            at.server.settle(at.now)
        assert len(at.owners) == known + 1
        replayed = at.owners[known]
        at.run(most_s=1)
        assert not replayed.received
        assert not replayed.link.state.is_resumed


def test_large_and_broken_sessions_are_not_kept() -> None:
    now = [1e9]
    derive = QuicSecrets(b"s", lambda: now[0]).derived
    sessions = Sessions(derive, lambda: now[0])
    session = Session(1, b"s", 1e9, NAME, "Want", 1, [b"c" * 1000])
    ticket = sessions.seal(session)
    assert ticket is not None
    assert sessions.open(ticket) == session
    assert Sessions(derive, lambda: now[0]).open(ticket) == session
    assert sessions.seal(Session(1, b"s", 1e9, NAME, "Want", 1, [bytes(LARGEST)])) is None
    for at in range(len(ticket)):
        broken = bytearray(ticket)
        broken[at] ^= 1
        assert sessions.open(bytes(broken)) is None, at
        assert sessions.open(ticket[:at]) is None
    assert sessions.open(bytes(LARGEST + 1)) is None
    now[0] -= 2 * TICKET_S
    assert sessions.open(ticket) is None, "from the future"


def test_an_unknown_authority_is_no_session() -> None:
    with gate(strict=False) as at:
        (ticket,) = visit(at, **issued(trustme.CA()))
        visit(at, ticket)
        assert is_resumed(at)
        at.set(client_auth="Need", strict=True)
        visit(at, ticket, **issued(trustme.CA()))
        assert at.ended == [ALERT + 48]
