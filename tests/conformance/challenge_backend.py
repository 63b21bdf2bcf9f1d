"""A backend of the exchange protocol, written without the gateway's code: it answers challenges."""

import base64
import hmac
from typing import Any

import msgspec

__all__ = ["BEHAVIOURS", "STATE", "answer_to", "decoded", "masked", "signed"]

STATE = "Otoroshi-State"
SECRET = "secret"

BEHAVIOURS: dict[str, dict[str, Any] | None] = {
    "right": {},
    "silent": None,
    "other state": {"state-resp": "x"},
    "no state": {"state-resp": None},
    "other audience": {"aud": "x"},
    "lasts too long": {"exp": 31},
    "expired": {"iat": -60, "exp": -30},
    "at the leeway's end": {"iat": -39, "exp": -9},
    "behind the leeway": {"iat": -40, "exp": -10.5},
    "from the future": {"iat": 11, "exp": 12},
    "no end": {"exp": None},
    "no begin": {"iat": None},
    "later": {"nbf": 11},
    "text for a time": {"exp": "soon"},
}
"""What a backend does, as changes of the right answer; times are seconds from now."""


def signed(claims: dict[str, Any], secret: str = SECRET) -> str:
    """Sign claims with HS512."""
    parts = (b'{"alg":"HS512","typ":"JWT"}', msgspec.json.encode(claims))
    text = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    digest = hmac.digest(secret.encode(), text.encode(), "sha512")
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def decoded(token: str, secret: str = SECRET) -> dict[str, Any]:
    """Check a token signed with HS512 and return its claims.

    Raises:
        AssertionError: It is not signed with the secret.
    """
    _, body, _ = token.split(".")
    claims: dict[str, Any] = msgspec.json.decode(
        base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    )
    text, _, signature = token.rpartition(".")
    digest = hmac.digest(secret.encode(), text.encode(), "sha512")
    assert signature == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return claims


def answer_to(asked: str, now: int, behaviour: str) -> list[tuple[str, str]]:
    """Return the fields with which a backend answers a challenge.

    Args:
        asked: The value of its request header: a token, or the bare state of V1.
        now: Unix seconds.
        behaviour: One of `BEHAVIOURS`.
    """
    changes = BEHAVIOURS[behaviour]
    if changes is None:
        return []
    if asked.count(".") != 2 or not asked.startswith("ey"):
        return [("Otoroshi-State-Resp", str(changes.get("state-resp", asked)))]
    claims: dict[str, Any] = {
        "aud": "Otoroshi",
        "state-resp": decoded(asked)["state"],
        "iat": now,
        "nbf": now,
        "exp": now + 30,
    }
    for name, change in changes.items():
        claims[name] = now + change if isinstance(change, (int, float)) else change
    if "iat" in changes:
        del claims["nbf"]
    return [("Otoroshi-State-Resp", signed({k: v for k, v in claims.items() if v is not None}))]


def masked(value: str) -> object:
    """Return what two challenges have in common: all but their random parts."""
    if value.count(".") == 2 and value.startswith("ey"):
        claims = decoded(value)
        return {**claims, "state": len(claims.get("state", "")), "jti": len(claims["jti"])}
    return len(value)
