"""Host names that nobody is asked about."""

from typing import Final

__all__ = ["LOOPBACK", "is_local"]

LOOPBACK: Final = ("127.0.0.1", "::1")
"""The addresses of `localhost` and of the names under it."""


def is_local(hostname: str) -> bool:
    """Tell whether a name is `localhost` or under it (RFC 6761 section 6.3)."""
    name = hostname.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")
