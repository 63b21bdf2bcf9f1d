"""Detect attacks on React server components (React2Shell, CVE-2025-55182).

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.React2SShellDetector``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Answer,
    BodyTooLarge,
    Config,
    Exchange,
    Phase,
    Plugin,
    Refusal,
    Response,
    Step,
    steps,
)

__all__ = ["React2SShellDetector", "React2SShellDetectorConfig"]

BODY_BYTES = 1 << 20
"""The longest body that is searched."""

ATTACK = 3
"""From this score on a request counts as an attack."""

_FORGED = (
    b"$@",
    b'"status":"resolved_model"',
    b'"status": "resolved_model"',
    b"constructor:constructor",
)
_SHELL = (b"whoami", b" id ", b"uname", b"/etc/passwd", b"/%b/" % b"tmp")


class React2SShellDetectorConfig(Config, frozen=True):
    """What is done with an attack."""

    block: Annotated[
        bool, Meta(description="Refuse the request; else it is only told by an alert.")
    ] = False


class React2SShellDetector(Plugin[React2SShellDetectorConfig]):
    """Raises ``ReactToShellDetectedAlert`` for a POST that looks like an attack; refuses it with 401.

    The bodies of POST requests are read in Python; nothing else leaves the engine.

    A body says how long it is, or not. One of more than 1 MiB that says so is searched no further when
    attacks are only told; when they are blocked, or its length comes out on the way, it is refused with
    413, because it cannot be judged.
    """

    id = "cp:otoroshi.next.plugins.React2SShellDetector"
    name = "React2Shell detector"
    description = "Detects requests that try to exploit React2Shell, and can refuse them."
    categories = ("Transformations",)

    @override
    async def transform_request(self, exchange: Exchange) -> Answer:
        request = exchange.request
        if request.method.upper() != "POST" or not request.has_body:
            return None
        if not self.config.block and _length(request.headers.get("Content-Length")) > BODY_BYTES:
            return None
        try:
            body = await request.read(BODY_BYTES)
        except BodyTooLarge:
            return Refusal(413, f"The body is longer than {BODY_BYTES} bytes")
        headers = request.headers
        score = int("next-action" in headers or "rsc-action-id" in headers)
        score += 2 * any(word in body for word in _FORGED)
        score += 3 * any(word in body for word in _SHELL)
        if score < ATTACK:
            return None
        facts = {
            "score": score,
            "blocked": self.config.block,
            "method": request.method,
            "path": request.path,
            "from": exchange.remote_address,
        }
        exchange.alert("ReactToShellDetectedAlert", facts)
        if not self.config.block:
            return None
        return Response(
            401,
            (("Content-Type", "application/json"),),
            b'{"error":"You\'re not allowed here !"}',
        )

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("react2shell", Phase.TRANSFORM_REQUEST, undecided=True),)


def _length(value: str | None) -> int:
    """Return what ``Content-Length`` says; 0 when there is none."""
    return int(value) if value and value.isascii() and value.isdigit() else 0
