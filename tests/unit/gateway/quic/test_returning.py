"""Clients that come back: to a gateway whose worker crashed, and with the token of an earlier connection."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import HandshakeCompleted
from aioquic.quic.packet import QuicProtocolVersion

from oto_trio.gateway.quic import QuicEndpoint, QuicLimits, QuicSecrets
from oto_trio.gateway.quic.resets import LONGEST, SHORTEST, Resets
from oto_trio.gateway.quic.secrets import ADDRESS_TOKEN_BYTES
from oto_trio.gateway.upstream.backend_state import BackendState
from oto_trio.gateway.upstream.dialling import DialEndpoint
from tests.unit.gateway.quic.network import CLIENT, SERVER, Net, Owner

if TYPE_CHECKING:
    from collections.abc import Generator

NOW = 1_800_000_000.0
HOST = str(CLIENT[0])


@contextmanager
def shared(**limits: Any) -> Generator[Net]:
    """A network whose server shares a secret with others of its gateway."""
    net = Net(secrets=QuicSecrets(b"of these tests", lambda: NOW), limits=QuicLimits(**limits))
    try:
        yield net
    finally:
        net.server.close()


def opened(net: Net, **more: Any) -> Owner:
    client = net.connect(**more)
    assert net.run(lambda: client.saw(HandshakeCompleted))
    net.run(most_s=0.5)
    return client


def say(client: Owner, net: Net) -> None:
    client.link.state.send_stream_data(client.link.state.get_next_available_stream_id(), b"hello")
    client.link.transmit(net.now)


def test_a_client_of_a_worker_that_crashed_is_told_so() -> None:
    with shared() as net:
        client = opened(net)
        state: Any = client.link.state
        net.crash()
        wire = net.wires["server"]
        before = len(wire.sent)
        say(client, net)
        asked = net.wires["client"].sent[-1]
        assert net.run(lambda: len(wire.sent) > before)
        (answer,) = wire.sent[before:]
        assert answer[-16:] == state._peer_cid.stateless_reset_token
        assert answer[0] & 0xC0 == 0x40  # as any other packet
        assert len(answer) < len(asked)
        # The same is true of each identifier that the client has to go on with.
        assert net.secrets is not None
        others = state._peer_cid_available
        assert others
        for other in others:
            assert other.stateless_reset_token == net.secrets.reset_token(other.cid)
        assert not net.server.links


def test_a_backend_that_forgot_a_connection_is_believed_at_once() -> None:
    with shared() as net:
        net.client = DialEndpoint(lambda: net.now, QuicLimits())
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"])
        configuration.server_name = "api.test"
        configuration.verify_mode = ssl.CERT_NONE
        state = BackendState(configuration, QuicLimits(), net.client.prefix, lambda _: None)
        link = net.client.enter(state, net.wires["client"], net.now)
        owner = link.owner = Owner(link)
        state.connect(SERVER, net.now)
        link.transmit(net.now)
        assert net.run(lambda: owner.saw(HandshakeCompleted))
        net.run(most_s=0.5)
        # Somebody else cannot end it.
        for cid in (state.identifiers[0], bytes(12)):
            for rest in (bytes(30), bytes(16), b""):
                net.client.receive(b"\x40" + cid + rest, SERVER, link.path, net.now)
                net.client.settle(net.now)
        assert not owner.is_lost
        net.crash()
        say(owner, net)
        began = net.now
        assert net.run(lambda: owner.is_lost)
        assert net.now - began < 0.1
        assert state.problem == ("the backend has forgotten the connection", False)
        sent = len(net.wires["client"].sent)
        net.run(most_s=5)
        assert len(net.wires["client"].sent) == sent


def test_what_another_worker_still_has_is_not_given_up() -> None:
    with shared() as net:
        client = opened(net)
        other = QuicEndpoint(lambda: net.now, acceptor=net.acceptor, secrets=net.secrets)
        wire = net.wires["server"]
        before = len(wire.sent)
        say(client, net)
        for data in net.wires["client"].sent[-3:]:
            other.receive(data, CLIENT, wire, net.now)
        assert len(wire.sent) == before
        other.close()


def test_without_word_from_the_other_workers_nobody_is_told_anything() -> None:
    net = Net()
    client = opened(net)
    net.crash()
    wire = net.wires["server"]
    before = len(wire.sent)
    say(client, net)
    net.run(most_s=1)
    assert len(wire.sent) == before


def test_an_answer_is_shorter_than_what_asked_for_it_and_there_are_not_many() -> None:
    secrets = QuicSecrets(b"s", lambda: NOW)
    resets = Resets(secrets, 5000, 10)
    sizes = {size: resets.answer(b"c" * 12, bytes(size), 1.0) for size in range(1600)}
    assert all(sizes[size] is None for size in range(SHORTEST + 1))
    for size in range(SHORTEST + 1, 1600):
        answer = sizes[size]
        assert answer is not None
        assert SHORTEST <= len(answer) < size
        assert len(answer) <= LONGEST
    resets = Resets(secrets, 100, 10)
    flood = [resets.answer(b"c" * 12, bytes(50), 1.0) for _ in range(1000)]
    assert sum(it is not None for it in flood) == 100
    later = [resets.answer(b"c" * 12, bytes(50), 3.0) for _ in range(1000)]
    assert sum(it is not None for it in later) == 20


def test_garbage_without_end_is_answered_within_the_bound() -> None:
    with shared(resets=10, resets_per_s=1) as net:
        wire = net.wires["server"]
        for number in range(500):
            data = bytes([0x40]) + number.to_bytes(12) + bytes(80)
            net.server.receive(data, CLIENT, wire, net.now)
        assert len(wire.sent) <= 10 + 100  # what the clock let it have since it began, at most
        assert not net.server.links
        answers = {it[-16:] for it in wire.sent}
        assert len(answers) == len(wire.sent)


def test_tokens_of_resets_are_of_the_gateway_and_of_the_identifier() -> None:
    ours, same, other = (
        QuicSecrets(b"a", lambda: NOW),
        QuicSecrets(b"a", lambda: NOW),
        QuicSecrets(b"b", lambda: NOW),
    )
    assert ours.reset_token(b"x") == same.reset_token(b"x")
    assert ours.reset_token(b"x") not in {ours.reset_token(b"y"), other.reset_token(b"x")}
    assert ours.group == same.group != other.group


def token_of(net: Net) -> bytes:
    """What the server gave a client for its next connection."""
    tokens: list[bytes] = []
    client = net.connect()
    client.link.state._token_handler = tokens.append
    assert net.run(lambda: bool(tokens))
    (token,) = tokens
    assert len(token) == ADDRESS_TOKEN_BYTES
    client.link.close(0, "", net.now)
    net.client.settle(net.now)
    return token


def test_a_client_that_returns_need_not_show_its_address_again() -> None:
    with shared(trusted_handshakes=0) as net:
        token = token_of(net)
        assert net.acceptor.retries == 1
        opened(net, token=token)
        assert net.acceptor.retries == 1
        net.crash()
        opened(net, token=token)
        assert net.acceptor.retries == 1
        opened(net)
        assert net.acceptor.retries == 2


@pytest.mark.parametrize("how", ["moved", "late", "early", "broken", "foreign", "version"])
def test_a_token_is_for_its_address_and_for_a_time(how: str) -> None:
    with shared(trusted_handshakes=0) as net:
        token = token_of(net)
        assert net.secrets is not None
        more: dict[str, Any] = {}
        if how == "moved":
            net.wires["client"].address = ("198.51.100.8", CLIENT[1])
        elif how == "late":
            net.secrets._unix_clock = lambda: NOW + 25 * 3600
        elif how == "early":
            net.secrets._unix_clock = lambda: NOW - 3600
        elif how == "broken":
            token = token[:-1] + bytes([token[-1] ^ 1])
        elif how == "foreign":
            token = QuicSecrets(b"another", lambda: NOW).address_token(HOST, 1)
        else:
            more["original_version"] = QuicProtocolVersion.VERSION_2
        opened(net, token=token, **more)
        assert net.acceptor.retries == 2


def test_a_token_does_not_lift_the_bound_on_what_is_sent_to_its_address() -> None:
    with shared() as net:
        token = token_of(net)
        net.client.settle(net.now)
        net.run(most_s=1)
        client = net.connect(token=token)
        hello = net.wires["client"].sent[-1]
        net.client.forget(client.link, net.now)  # it hears nothing of what follows
        before = len(net.wires["server"].sent)
        net.run(most_s=5)
        sent = sum(len(it) for it in net.wires["server"].sent[before:])
        assert 0 < sent <= 3 * len(hello)


def test_an_address_has_one_token_key_for_all_ways_to_write_it() -> None:
    secrets = QuicSecrets(b"s", lambda: NOW)
    token = secrets.address_token("fe80::1%eth0", 1)
    assert secrets.knows_address("fe80:0::1", 1, token)
    assert not secrets.knows_address("fe80::2", 1, token)
    assert not secrets.knows_address("fe80::1", 1, b"")
    assert secrets.address_token("::1", 1) != secrets.address_token("::1", 1)
