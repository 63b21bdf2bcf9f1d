"""A server in memory that asks a whole engine what it thinks of its clients."""

from __future__ import annotations

import datetime as dt
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted

from oto_trio._core import Engine, Snapshot
from oto_trio.gateway.listeners.http3.certificates import Certificates, ListenerTerms
from oto_trio.gateway.quic import QuicSecrets
from tests.conformance.tls import leaves
from tests.conformance.tls.secure import NOW, authority, ca_certificate
from tests.conformance.tls.secure import certificate as entity
from tests.unit.gateway.quic.network import Net, Owner

if TYPE_CHECKING:
    from collections.abc import Callable

STRICT = {"client_auth": "Need", "system_cas_for_clients": False, "strict": True}
ALERT = 0x100
"""QUIC's code for an alert of TLS is this, and the alert."""
Shown = dict[str, Any]


def issued(*of: Any, **how: Any) -> Shown:
    """What a client shows: a certificate, and its key."""
    leaf = leaves.issued(dt.datetime.fromtimestamp(NOW, dt.UTC), *of, **how)
    return {"certificate": leaf.certificate, "private_key": leaf.key}


@cache
def good() -> Shown:
    return issued()


class Gate(Net):
    """A server that asks the engine what it thinks of clients."""

    def __init__(self, secret: bytes | None = None, **settings: Any) -> None:
        shared = None if secret is None else QuicSecrets(secret, lambda: NOW - 100 + self.now)
        super().__init__(secrets=shared)
        self.engine = Engine(b"{}")
        self.engine.set_unix_offset(NOW - self.now)
        self.set(**settings)
        self.ended: list[int] = []
        self.listener = self.engine.adopt_datagrams("a listener")
        clock: Callable[[], float] = lambda: self.now  # noqa: E731
        certificates = Certificates(self.engine, clock, lambda: None)
        terms: Any = ListenerTerms(self.engine, certificates, clock, self.listener)
        self.terms = terms

    def set(self, **settings: Any) -> None:
        own = {"server": entity("api.test", "other.test"), "ca": ca_certificate(authority())}
        changed = [("certificates", name, body) for name, body in own.items()]
        told = json.dumps({"tls": STRICT | settings}).encode()
        self.engine.install(Snapshot().apply([], [], told, changed))

    def knock(self, change: Callable[[Any], None] = lambda _: None, **shown: Any) -> int | None:
        """Make a handshake; return the code that refuses it, None when the client is let in."""
        client = self.connect(verify_mode=0, **shown)
        change(client.link.state)
        self.run(lambda: client.saw(ConnectionTerminated), most_s=1)
        server = self.owners[-1]
        if client.saw(ConnectionTerminated):
            assert not server.saw(HandshakeCompleted)
            assert server.is_lost
            (end,) = (it for it in client.events if isinstance(it, ConnectionTerminated))
            return end.error_code
        assert server.saw(HandshakeCompleted)
        return None

    def take_in(self, server: Owner | None = None) -> int:
        state = (server or self.owners[-1]).link.state
        return self.engine.carry(
            self.listener, "192.0.2.9", state.server_name, self.now, state.client_chain
        )
