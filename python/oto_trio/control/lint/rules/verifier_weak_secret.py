"""JWT verifiers whose secret can be guessed."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.model.jwt_verifier import JwtVerifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground
    from oto_trio.model.document import JsonObject

__all__ = ["RULE"]

KNOWN: Final = frozenset({b"secret", b"changeme", b"password", b"otoroshi", b"your-256-bit-secret"})
"""Secrets from templates and manuals."""


def _find(ground: Ground) -> Iterator[Hit]:
    for item, verifier in ground.of(JwtVerifier):
        parts = [("$.algoSettings", verifier.algo_settings)]
        parts.append(("$.strategy.algoSettings", verifier.strategy.get("algoSettings") or {}))
        for path, settings in parts:
            secret = _secret(settings)
            if secret is None:
                continue
            least = int(settings["size"]) // 8
            if secret.lower() in KNOWN:
                why = "the secret stands in manuals and templates: everybody can sign tokens"
                fix = f"replace it by {least} random bytes"
                yield Hit(item, f"{path}.secret", why, fix, "error")
            elif len(secret) < least:
                why = f"the secret has {len(secret)} bytes, fewer than the {least} of its hash"
                fix = f"replace it by {least} random bytes or more (RFC 7518 section 3.2)"
                yield Hit(item, f"{path}.secret", why, fix)


def _secret(settings: JsonObject) -> bytes | None:
    """Return the bytes of an HMAC secret that is written out; None when there is none."""
    if settings.get("type") != "HSAlgoSettings":
        return None
    text: object = settings.get("secret")
    if not isinstance(text, str) or "${" in text:
        return None
    if settings.get("base64"):
        try:
            return base64.b64decode(text, validate=False)
        except binascii.Error:
            return None
    return text.encode()


RULE = Rule(
    "verifier-weak-secret",
    "warning",
    "A verifier's HMAC secret is shorter than its hash, or (an error) one from a manual.",
    _find,
)
