"""What a hook may answer instead of letting the exchange go on.

A plugin *returns* its decision; it raises only when it is broken (which becomes a 500).
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

__all__ = ["Answer", "Refusal", "Response"]


class Response(msgspec.Struct, frozen=True):
    """A complete answer, sent to the downstream as it is; the backend is not called.

    Args:
        status: HTTP status, 200 to 599.
        headers: (name, value) pairs in the order they are sent; latin-1 text, names as written.
            Framing and hop-by-hop fields (``Content-Length``, ``Transfer-Encoding``,
            ``Connection``...) belong to the engine and are ignored here.
        body: The whole body; the engine adds ``Content-Length``.
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""


class Refusal(msgspec.Struct, frozen=True):
    """A refusal, crafted by the engine in Otoroshi's error format.

    HTML when the request accepts ``text/html`` or has no ``Accept``, JSON otherwise, with the headers
    ``Otoroshi-Error``, ``Otoroshi-Error-Msg`` and ``Otoroshi-State-Resp``.

    Args:
        status: HTTP status, 400 to 599.
        message: What the caller is told; never put a secret in it.
        cause: Stable id such as ``errors.method.not.allowed``; it selects the error template.
    """

    status: int
    message: str
    cause: str | None = None


Answer: TypeAlias = Response | Refusal | None
"""``None`` means: go on with the next step."""
