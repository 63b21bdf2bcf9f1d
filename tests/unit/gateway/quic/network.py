"""A network in memory with a clock of its own: two endpoints, a link that loses and reorders, and time that jumps."""

from __future__ import annotations

import heapq
import itertools
import random
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

import trustme
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent, StreamDataReceived
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from oto_trio.gateway.quic import (
    Acceptor,
    QuicEndpoint,
    QuicLimits,
    QuicLink,
    QuicSecrets,
    QuicState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aioquic.tls import SessionTicket

    from oto_trio.gateway.quic.early import EarlyTickets
    from oto_trio.gateway.quic.sockets import Address

SERVER: Address = ("192.0.2.1", 443)
CLIENT: Address = ("198.51.100.7", 5000)


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def certificate(name: str) -> tuple[x509.Certificate, list[x509.Certificate], Any]:
    leaf = authority().issue_cert(name)
    chain = [x509.load_pem_x509_certificate(it.bytes()) for it in leaf.cert_chain_pems]
    return chain[0], chain[1:], load_pem_private_key(leaf.private_key_pem.bytes(), None)


class Wire:
    """Stands where a socket would."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.waits = False
        self.is_closed = False
        self.address: Address = CLIENT
        self.sent: list[bytes] = []

    def send(self, datagrams: Sequence[tuple[bytes, Address]]) -> None:
        for data, to in datagrams:
            self.sent.append(data)
            self.net.carry(data, self.address, to)


class Terms:
    """What a server shows, and what it thinks of what clients show."""

    def __init__(self) -> None:
        self.names: list[str | None] = []
        self.auth = "None"
        self.early: EarlyTickets | None = None
        self.shown: list[list[bytes]] = []
        self.refuses: tuple[int, str] | None = None

    def choose(self, name: str | None) -> Any:
        self.names.append(name)
        return certificate(name or "default.test")

    def client_auth(self) -> str:
        return self.auth

    def check(self, chain: list[bytes]) -> tuple[int, str] | None:
        self.shown.append(chain)
        if not chain and self.auth == "Need":
            return 116, "no certificate"
        return self.refuses


class Owner:
    """Keeps what happened on a connection; the server's answers what it is told to."""

    def __init__(self, link: QuicLink) -> None:
        self.link = link
        self.events: list[QuicEvent] = []
        self.received: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.is_lost = False
        self.on_data: Callable[[StreamDataReceived], None] | None = None

    def quic_event(self, event: QuicEvent, now: float) -> None:
        self.events.append(event)
        if isinstance(event, StreamDataReceived):
            self.received.setdefault(event.stream_id, bytearray()).extend(event.data)
            if event.end_stream:
                self.ended.add(event.stream_id)
            if self.on_data is not None:
                self.on_data(event)

    def quic_lost(self, now: float) -> None:
        self.is_lost = True

    def saw(self, kind: type[QuicEvent]) -> bool:
        return any(isinstance(it, kind) for it in self.events)


class Net:
    """A client's endpoint and a server's, and what is between them."""

    def __init__(
        self,
        *,
        limits: QuicLimits | None = None,
        loss: float = 0.0,
        jitter_s: float = 0.0,
        secrets: QuicSecrets | None = None,
    ) -> None:
        self.limits = limits
        self.secrets = secrets
        self.now = 100.0
        self.loss = loss
        self.jitter_s = jitter_s
        self.random = random.Random(7)
        self.owners: list[Owner] = []
        self.tickets: list[SessionTicket] = []
        """What clients got for their next connections."""
        self.tokens: list[bytes] = []
        """What tells the server that their address is theirs."""
        self.terms = Terms()
        self.acceptor = Acceptor(["h3"], lambda _: self.terms, self.own)
        self.server = self._served()
        self.client = QuicEndpoint(lambda: self.now, limits)
        self.wires: dict[str, Any] = {"server": Wire(self), "client": Wire(self)}
        self.wires["server"].address = SERVER
        self._under_way: list[tuple[float, int, bytes, Address, Address]] = []
        self._numbers = itertools.count()

    def _served(self) -> QuicEndpoint:
        return QuicEndpoint(
            lambda: self.now, self.limits, acceptor=self.acceptor, secrets=self.secrets
        )

    def crash(self) -> None:
        """Forget all that the server knows; another one takes its place."""
        self.server.close()
        self.server = self._served()

    def own(self, link: QuicLink, path: object, now: float) -> Owner:
        self.owners.append(Owner(link))
        return self.owners[-1]

    def connect(self, name: str = "api.test", **more: Any) -> Owner:
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=name)
        configuration.cadata = authority().cert_pem.bytes()
        configuration.verify_mode = ssl.CERT_REQUIRED
        for key, value in more.items():
            setattr(configuration, key, value)
        state: Any = QuicState(configuration, self.client.limits, self.client.prefix)
        state._session_ticket_handler = self.tickets.append
        state._token_handler = self.tokens.append
        link = self.client.enter(state, self.wires["client"], self.now)
        state.connect(SERVER, self.now)
        link.touch()
        link.owner = Owner(link)
        self.client.settle(self.now)
        return link.owner

    def carry(self, data: bytes, source: Address, to: Address) -> None:
        if self.random.random() < self.loss:
            return
        at = self.now + 0.01 + self.random.random() * self.jitter_s
        heapq.heappush(self._under_way, (at, next(self._numbers), data, source, to))

    def run(self, until: Callable[[], bool] = lambda: False, most_s: float = 5.0) -> bool:
        """Let time pass until something is so; false when it is not after `most_s`."""
        end = self.now + most_s
        while not until():
            due = min(
                self.client._timers.next_due(self.client.links),
                self.server._timers.next_due(self.server.links),
                self._under_way[0][0] if self._under_way else end,
            )
            if due >= end:
                self.now = end
                return until()
            self.now = max(self.now, due)
            while self._under_way and self._under_way[0][0] <= self.now:
                _, _, data, source, to = heapq.heappop(self._under_way)
                endpoint = self.server if to == SERVER else self.client
                wire = self.wires["server" if to == SERVER else "client"]
                if to not in (SERVER, wire.address):
                    continue  # nobody is there any more
                endpoint.receive(data, source, wire, self.now)
                endpoint.settle(self.now)
            self.client.expire(self.now)
            self.server.expire(self.now)
        return True
