"""Certificates that a worker has made: asked of the supervisor by name, and told to the engine when they are there.

The engine asks for a few names at a time and holds the connections that wait; its time-outs bound how long.
"""

from collections.abc import Callable

from oto_trio.gateway.engine import Clock, Engine, Event
from oto_trio.gateway.frames import AskCertificate, CertificateAnswer, UpFrame
from oto_trio.gateway.link import Outbox

__all__ = ["AskedCertificates"]


class AskedCertificates:
    """What was asked of the supervisor and not answered.

    Args:
        engine: Wants them.
        clock: Reads the Trio clock.
        outbox: Takes the questions; one that finds it full is answered with no.
        settle: Acts on what an answer raised, given the time.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        outbox: Outbox[UpFrame],
        settle: Callable[[list[Event], float], None],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._outbox = outbox
        self._settle = settle
        self._names: dict[int, str] = {}
        self._token = 0

    def ask(self, server_name: str) -> None:
        """Have the supervisor make a certificate."""
        self._token += 1
        token = self._token
        self._names[token] = server_name
        if not self._outbox.offer(AskCertificate(token, server_name)):
            self.take(CertificateAnswer(token, ok=False))

    def take(self, answer: CertificateAnswer) -> None:
        """Tell the engine what became of a certificate; an answer that nobody waits for says nothing."""
        server_name = self._names.pop(answer.token, None)
        if server_name is not None:
            now = self._clock()
            events = self._engine.certificate_told(server_name, answer.certificate, now)
            self._settle(events, now)
