"""What the plugins do that make one kind of call another."""

from __future__ import annotations

import base64
from typing import Final

from tests.integration.plugins.cases.case import Case, acts, answer, left

__all__ = ["CASES"]

BINARY: Final = "Content-Type: application/grpc-web+proto"
TEXT: Final = "Content-Type: application/grpc-web-text"
MESSAGE: Final = b"\x00\x00\x00\x00\x03abc"
STATUS: Final = b"\x80\x00\x00\x00\x0fgrpc-status:0\r\n"
TYPE: Final = "Content-Type: application/grpc"
ANSWERED: Final = (
    f"HTTP/1.1 200 OK\r\n{TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    + b"8\r\n"
    + MESSAGE
    + b"\r\n0\r\ngrpc-status: 0\r\n\r\n"
)

CASES: Final = {
    "GrpcWebProxyPlugin": Case(
        {"allowed_services": ["p.Greeter"], "blocked_methods": ["Bye"]},
        (
            acts(
                "POST /p.Greeter/Hello",
                BINARY,
                body=MESSAGE,
                answered=ANSWERED,
                to_backend={"Content-Type": ["application/grpc+proto"]},
                got=MESSAGE,
                to_client={"Content-Type": ["application/grpc-web"]},
                exactly=MESSAGE + STATUS,
            ),
            acts(
                "POST /p.Greeter/Hello",
                TEXT,
                body=base64.b64encode(MESSAGE[:1]) + base64.b64encode(MESSAGE[1:]),
                answered=ANSWERED,
                to_backend={"Content-Type": ["application/grpc+proto"]},
                got=MESSAGE,
                to_client={"Content-Type": ["application/grpc-web-text+proto"]},
                exactly=base64.b64encode(MESSAGE) + base64.b64encode(STATUS),
            ),
            acts(
                "POST /p.Greeter/Hello",
                TEXT,
                body=base64.b64encode(MESSAGE),
                answered=answer(TYPE, body=MESSAGE),
                to_client={"Content-Type": ["application/grpc-web-text+proto"]},
                exactly=base64.b64encode(MESSAGE),
            ),
            acts(
                "POST /p.Greeter/Bye",
                BINARY,
                body=MESSAGE,
                to_backend=None,
                to_client={
                    "grpc-status": ["403"],
                    "grpc-message": ["You're not authorized here!"],
                    "Content-Type": ["application/grpc-web+proto"],
                },
                exactly=b"",
            ),
            left("POST /p.Greeter/Bye", TYPE, body=MESSAGE, got=MESSAGE),
            left(
                "POST /p.Greeter/Hello",
                BINARY,
                body=MESSAGE,
                got=MESSAGE,
                answered=answer("Content-Type: text/plain", body=b"no gRPC"),
                to_client={"Content-Type": ["text/plain"]},
                exactly=b"no gRPC",
            ),
        ),
    )
}
"""The cases, by plugin."""
