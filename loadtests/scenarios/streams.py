"""streams: many requests at once on connections of HTTP/2, small ones beside large ones.

Clients speak HTTP/2 without TLS by prior knowledge. One kind keeps its connection and asks in bundles; the other
resets some of its streams in the middle, and the rest of that connection must not notice.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from locust import User, constant, task

from loadtests.site import Site
from loadtests.talking import WrongAnswerError, connected, timed

ROUTES = ("stream",)
WANTED = ("bundle of streams", "bundle with resets")
HOST: Final = "stream.loadtest.localhost"
AT_ONCE: Final = 16
SIZES: Final = (100, 1_000, 40_000, 150_000)
BUNDLES: Final = 20
"""After so many a connection is closed, and another one made."""


@dataclass
class Answer:
    """What came on a stream."""

    expected: int
    status: bytes = b""
    received: int = 0
    is_over: bool = False


@dataclass
class Bundle:
    """Requests on one connection at the same time.

    Attributes:
        answers: By stream.
        is_gone: The gateway lets no more requests come on the connection.
    """

    answers: dict[int, Answer] = field(default_factory=dict[int, Answer])
    is_gone: bool = False

    def hear(self, event: Any) -> None:
        """Take notice of an event.

        Raises:
            WrongAnswerError: The stream, or all of them, ended without an answer.
        """
        if isinstance(event, h2.events.ConnectionTerminated):
            self.is_gone = True
            if event.error_code != h2.errors.ErrorCodes.NO_ERROR:
                raise WrongAnswerError(f"the connection ends with error {event.error_code}")
        answer = self.answers.get(getattr(event, "stream_id", None) or 0)
        if answer is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            answer.status = dict(event.headers).get(b":status", b"")
        elif isinstance(event, h2.events.DataReceived):
            answer.received += len(event.data)
        elif isinstance(event, h2.events.StreamEnded):
            answer.is_over = True
        elif isinstance(event, h2.events.StreamReset):
            raise WrongAnswerError(f"a stream was reset with error {event.error_code}")

    def check(self) -> int:
        """Return how many bytes came.

        Raises:
            WrongAnswerError: One answer is not what it must be.
        """
        for answer in self.answers.values():
            if (answer.status, answer.received) != (b"200", answer.expected):
                raise WrongAnswerError(
                    f"{answer.expected} bytes with status 200 were expected, "
                    f"but it is {answer.received} with {answer.status!r}"
                )
        return sum(answer.received for answer in self.answers.values())


class Client:
    """A connection.

    Args:
        site: Where.
    """

    def __init__(self, site: Site) -> None:
        self.sock = connected(site)
        config = h2.config.H2Configuration(header_encoding=None)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.bundles = 0

    def ask(self, *, resets: bool) -> tuple[int, bool]:
        """Make a bundle of requests; return the bytes that came, and whether the connection is of further use.

        Args:
            resets: Whether every fourth one is reset at once.
        """
        bundle = Bundle()
        for number in range(AT_ONCE):
            size = SIZES[number % len(SIZES)]
            stream = self.h2.get_next_available_stream_id()
            fields = {":method": "GET", ":scheme": "http", ":authority": HOST}
            self.h2.send_headers(
                stream, [*fields.items(), (":path", f"/bytes/{size}")], end_stream=True
            )
            if resets and number % 4 == 3:
                self.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            else:
                bundle.answers[stream] = Answer(size)
        while not all(answer.is_over for answer in bundle.answers.values()):
            self.sock.sendall(self.h2.data_to_send())
            data = self.sock.recv(65536)
            if not data:
                raise WrongAnswerError("the connection ended with requests on it")
            try:
                events = self.h2.receive_data(data)
            except h2.exceptions.ProtocolError as error:
                raise WrongAnswerError(f"the gateway broke the protocol: {error}") from error
            for event in events:
                if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                bundle.hear(event)
        self.sock.sendall(self.h2.data_to_send())
        self.bundles += 1
        return bundle.check(), not bundle.is_gone and self.bundles < BUNDLES


def users(site: Site) -> list[type[Any]]:
    """Return the kinds of users."""

    class Speaker(User):
        """Keeps a connection for a while."""

        abstract = True
        wait_time = constant(0)
        name = ""
        resets = False
        client: Client | None = None

        @task
        def bundle(self) -> None:
            """Ask for much at once."""
            if not timed(self.environment, "H2", self.name, self.talk):
                self.leave()

        def talk(self) -> int:
            """Have one conversation; returns the bytes that came."""
            if self.client is None:
                self.client = Client(site)
            heard, goes_on = self.client.ask(resets=self.resets)
            if not goes_on:
                self.leave()
            return heard

        def leave(self) -> None:
            """Close the connection."""
            if self.client is not None:
                self.client.sock.close()
                self.client = None

        def on_stop(self) -> None:
            """Leave nothing open."""
            self.leave()

    class Steady(Speaker):
        """Takes all that it asks for."""

        name = "bundle of streams"

    class Fickle(Speaker):
        """Resets every fourth request."""

        name = "bundle with resets"
        resets = True

    return [Steady, Fickle]
