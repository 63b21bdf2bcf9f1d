"""The listening sockets of the supervisor."""

import os
import socket
from contextlib import ExitStack
from functools import partial

import msgspec
import pytest
from typing_extensions import override

from oto_trio.control.supervisor.listening import BindError, bind_listener, listening


def test_port_zero_picks_one_port_for_every_slot() -> None:
    with listening(bind_listener("a", "127.0.0.1", 0, secured=False, slots=3)) as (listener,):
        ports = {sock.getsockname()[1] for sock in listener.sockets}
        assert ports == {listener.address[1]}
        assert len(listener.sockets) == 3
        assert listener.url == f"http://127.0.0.1:{listener.address[1]}"
        for _ in range(8):
            socket.create_connection(listener.address, timeout=5).close()


def test_a_secured_listener_has_an_https_url() -> None:
    with listening(bind_listener("a", "127.0.0.1", 0, secured=True, slots=1)) as (listener,):
        assert listener.url.startswith("https://127.0.0.1:")


def test_a_listener_of_tcp_services_is_not_shown_as_one_of_http() -> None:
    bound = bind_listener("a", "127.0.0.1", 0, secured=False, slots=1)
    with listening(msgspec.structs.replace(bound, is_tcp=True)) as (listener,):
        assert listener.url.startswith("tcp://127.0.0.1:")


def test_sockets_are_closed_at_the_end_of_the_block() -> None:
    with listening(bind_listener("a", "127.0.0.1", 0, secured=False, slots=2)) as (listener,):
        address = listener.address
    assert all(sock.fileno() == -1 for sock in listener.sockets)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    listener.close()


def test_ipv6_addresses_are_shown_in_brackets() -> None:
    with listening(bind_listener("a", "::1", 0, secured=False, slots=1)) as (listener,):
        assert listener.url == f"http://[::1]:{listener.address[1]}"


def test_the_unspecified_ipv6_address_takes_ipv4_too() -> None:
    with listening(bind_listener("a", "::", 0, secured=False, slots=1)) as (listener,):
        socket.create_connection(("127.0.0.1", listener.address[1]), timeout=5).close()


@pytest.mark.parametrize("slots", [1, 2])
def test_a_port_that_another_gateway_has_is_not_shared(slots: int) -> None:
    with (
        listening(bind_listener("a", "127.0.0.1", 0, secured=False, slots=2)) as (other,),
        pytest.raises(BindError, match="another process listens there"),
    ):
        bind_listener("b", "127.0.0.1", other.address[1], secured=False, slots=slots)


def test_a_udp_port_that_is_taken_is_called_one() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=f"127.0.0.1 UDP port {port}: another process"):
            bind_listener("b", "127.0.0.1", port, secured=True, slots=1, datagrams=True)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("datagrams", [False, True], ids=["tcp", "udp"])
def test_a_process_that_is_just_being_started_keeps_no_port(
    monkeypatch: pytest.MonkeyPatch, slots: int, datagrams: bool
) -> None:
    with socket.socket(type=socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM) as free:
        free.bind(("127.0.0.1", 0))
        _, port = free.getsockname()
    with ExitStack() as duplicates:

        class Duplicated(socket.socket):
            @override
            def close(self) -> None:
                if self.fileno() != -1:
                    duplicates.callback(partial(os.close, os.dup(self.fileno())))
                super().close()

        monkeypatch.setattr("oto_trio.control.supervisor.listening.socket.socket", Duplicated)
        bound = bind_listener(
            "a", "127.0.0.1", port, secured=False, slots=slots, datagrams=datagrams
        )
        with listening(bound) as (listener,):
            assert listener.address == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("nowhere", "is no address to listen on"),
        ("127.0.0.1:80", "is no address to listen on"),
        ("192.0.2.1", "does not have that address"),
    ],
)
def test_a_wrong_address_is_named_with_what_to_do(host: str, reason: str) -> None:
    with pytest.raises(BindError, match=reason):
        bind_listener("a", host, 0, secured=False, slots=1)
