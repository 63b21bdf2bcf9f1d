"""The one error of this room."""

from __future__ import annotations

from oto_trio.model.errors import GatewayError, Problem

__all__ = ["PkiError"]


class PkiError(GatewayError):
    """A key, a certificate or a wish for one cannot be used. Never holds key material.

    Args:
        path: Which part is wrong: a JSON path such as ``$.chain``.
        message: What is wrong with it, without a final full stop.
        fix: What to write instead.
    """

    code = "pki_refused"
    source = "downstream"
    status = 400

    def __init__(self, path: str, message: str, fix: str) -> None:
        super().__init__(f"{message}; {fix}")
        self.problem = Problem(path, message, fix)
        """The same, taken apart."""
