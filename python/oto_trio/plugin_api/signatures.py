"""Signatures and tokens for hooks: the engine's own."""

from oto_trio._core import HmacVerifier, MessageSigner, MessageVerifier, TokenKeys

__all__ = ["HmacVerifier", "MessageSigner", "MessageVerifier", "TokenKeys"]
