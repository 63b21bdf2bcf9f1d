"""API keys whose secret can be guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.model.api_key import ApiKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE", "SHORTEST"]

SHORTEST: Final = 16
"""Characters of a secret below which it is told of; random ones of 16 letters have about 80 bits."""


def _find(ground: Ground) -> Iterator[Hit]:
    for item, key in ground.of(ApiKey):
        secret = key.client_secret
        if not key.enabled or "${" in secret:
            continue
        if secret == DEV_CREDENTIALS.client_secret:
            why = "the secret is the one that everybody knows from development"
            yield Hit(item, "$.clientSecret", why, "replace it by a random one", "error")
        elif len(secret) < SHORTEST or secret in {key.client_id, key.client_name}:
            why = f"the secret is short, or the client's own name: it has {len(secret)} characters"
            fix = f"replace it by a random one of {SHORTEST} characters or more"
            yield Hit(item, "$.clientSecret", why, fix)


RULE = Rule(
    "api-key-weak-secret",
    "warning",
    "An API key's secret is short, its own name, or (an error) the well-known one.",
    _find,
)
