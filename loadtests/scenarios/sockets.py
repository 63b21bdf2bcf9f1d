"""sockets: WebSockets that talk, and WebSockets that come and go, beside requests.

The backend says every message back; what comes back must be what was said.
"""

import random
from typing import Any, Final

from locust import FastHttpUser, User, between, constant, task
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
)
from wsproto.utilities import ProtocolError

from loadtests.expecting import Expected, ask
from loadtests.site import Site
from loadtests.talking import WrongAnswerError, connected, timed

ROUTES = ("chat",)
WANTED = ("message", "short visit", "request beside sockets")
HOST: Final = "chat.loadtest.localhost"
SIZES: Final = (10, 125, 126, 4_000, 70_000)
MESSAGES: Final = 200
"""After so many a talker closes its socket, and opens another one."""


class Client:
    """A WebSocket.

    Args:
        site: Where.
    """

    def __init__(self, site: Site) -> None:
        self.sock = connected(site)
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.heard: list[Any] = []
        self.messages = 0
        self.sock.sendall(self.ws.send(Request(host=HOST, target="/chat")))
        if not isinstance(self.next(), AcceptConnection):
            raise WrongAnswerError("the WebSocket was refused")

    def next(self) -> Any:
        """Return the next event that is no ping."""
        while True:
            while self.heard:
                event = self.heard.pop(0)
                if isinstance(event, Ping):
                    self.sock.sendall(self.ws.send(event.response()))
                elif isinstance(event, RejectConnection):
                    raise WrongAnswerError(f"the answer was {event.status_code}")
                else:
                    return event
            data = self.sock.recv(65536)
            try:
                self.ws.receive_data(data or None)
            except ProtocolError as error:
                raise WrongAnswerError(f"the gateway broke the protocol: {error}") from error
            self.heard += self.ws.events()
            if not data and not self.heard:
                raise WrongAnswerError("the connection ended without a close frame")

    def echo(self) -> int:
        """Say something, and hear it back; returns its size."""
        said = random.randbytes(random.choice(SIZES))
        self.sock.sendall(self.ws.send(BytesMessage(data=said)))
        back = bytearray()
        while True:
            event = self.next()
            if not isinstance(event, BytesMessage):
                raise WrongAnswerError(f"a message was expected, but it is {event!r}")
            back += event.data
            if event.message_finished:
                break
        if back != said:
            raise WrongAnswerError(f"{len(said)} bytes came back as {len(back)} others")
        self.messages += 1
        return len(back)

    def leave(self) -> None:
        """Close with the handshake of both sides."""
        self.sock.sendall(self.ws.send(CloseConnection(code=1000)))
        event = self.next()
        self.sock.close()
        if not isinstance(event, CloseConnection) or event.code != 1000:
            raise WrongAnswerError(f"a close frame was expected, but it is {event!r}")


def fresh(client: Client | None, site: Site) -> Client:
    """Return a socket on which not too much was said yet."""
    if client is not None and client.messages < MESSAGES:
        return client
    if client is not None:
        client.leave()
    return Client(site)


def visit(site: Site) -> int:
    """Have one message come back on a socket of its own; returns its size."""
    client = Client(site)
    heard = client.echo()
    client.leave()
    return heard


def users(site: Site) -> list[type[Any]]:
    """Return the kinds of users."""

    class Talker(User):
        """Keeps its socket, and talks."""

        wait_time = between(0.0, 0.02)
        client: Client | None = None

        @task
        def message(self) -> None:
            """Say one thing."""
            if not timed(self.environment, "WS", "message", self.talk):
                self.client = None

        def talk(self) -> int:
            """Have one message come back."""
            self.client = fresh(self.client, site)
            return self.client.echo()

        def on_stop(self) -> None:
            """Leave nothing open."""
            if self.client is not None:
                self.client.sock.close()

    class Visitor(User):
        """Opens a socket for one message."""

        wait_time = constant(0)

        @task
        def visit(self) -> None:
            """Come, talk and go."""
            timed(self.environment, "WS", "short visit", lambda: visit(site))

    class Reader(FastHttpUser):
        """Would notice if sockets held the gateway up."""

        wait_time = between(0.0, 0.02)

        @task
        def page(self) -> None:
            """Ask for something small."""
            name = "request beside sockets"
            ask(self.client, name, "GET", "chat", "/now", Expected(body=b"/now"))

    return [Talker, Visitor, Reader]
