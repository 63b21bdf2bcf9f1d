"""Signatures and tokens for hooks: the engine's own checks."""

from oto_trio._core import HmacVerifier, MessageVerifier, TokenKeys

__all__ = ["HmacVerifier", "MessageVerifier", "TokenKeys"]
