"""grpc: what a unary call costs."""

from typing import Any, ClassVar, cast

import grpc
from typing_extensions import override

from benches.contestant import Contestant
from benches.credentials import server_pair
from benches.errors import InvalidRunError
from benches.job import Job
from benches.measurement import Sample
from benches.scenarios.h2 import H2
from benches.scenarios.scenario import Conditions
from benches.traffic import LoadCore, StreamsLoop

METHOD = "bench.Echo/Say"
MESSAGE = b"x" * 100
CALL = b"\0" + len(MESSAGE).to_bytes(4) + MESSAGE
"""The message as a call carries it: not compressed, with its length."""
FIELDS = ("content-type: application/grpc", "te: trailers")
CHECK_S = 10.0


class Grpc(H2):
    """The connections and streams of `h2`; the backend is asked over HTTP/2 without TLS."""

    name: ClassVar[str] = "grpc"
    summary: ClassVar[str] = "unary gRPC calls of 100 octets, 10 HTTP/2 connections x 32 streams"
    unit: ClassVar[str] = "call"
    upstream: ClassVar[str] = "grpc-upstream"

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tls=True, http2=True, grpc=True)

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        """Load one proxy once, after a call that looks at its whole answer."""
        check(contestant)
        return super().measure(contestant, load, conditions)

    @override
    def loop(self, duration_s: int) -> StreamsLoop:
        return StreamsLoop(
            connections=self.connections,
            streams=self.streams,
            duration_s=duration_s,
            target=METHOD,
            answer_bytes=len(CALL),
            body=CALL,
            fields=FIELDS,
        )


def check(contestant: Contestant) -> None:
    """Make one call with a real client, for the load generator sees neither message nor trailers.

    Raises:
        InvalidRunError: it failed, or something else came back.
    """
    credentials = grpc.ssl_channel_credentials(server_pair().certificate.encode())
    name = ("grpc.ssl_target_name_override", contestant.job.routes[0].domain)
    address = f"127.0.0.1:{contestant.port}"
    with grpc.secure_channel(address, credentials, options=[name]) as channel:
        # Without a serializer octets go in and come out, which the types do not know.
        call = cast("Any", channel.unary_unary(f"/{METHOD}"))
        try:
            answer: bytes = call(MESSAGE, timeout=CHECK_S)
        except grpc.RpcError as error:
            message = f"a call failed: {error}"
            raise InvalidRunError(message) from error
    if answer != MESSAGE:
        message = f"a call was answered with {len(answer)} other octets"
        raise InvalidRunError(message)
