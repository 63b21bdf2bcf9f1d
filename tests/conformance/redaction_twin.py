"""The rules of redaction once more, to be read: what the engine's own must give too."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, cast
from urllib.parse import unquote_to_bytes

__all__ = ["MASK", "Twin", "is_credential"]

MASK = "***"

WORDS = (
    *("authorization", "cookie", "secret", "password", "passwd", "passphrase", "token"),
    *("api-key", "apikey", "api_key", "credential", "session", "signature", "jwt", "private"),
    *("csrf", "x-auth", "basic-auth", "_auth", "bearer", "otoroshi-state"),
)
PARAMETERS = ("key", "code", "sig", "sign", "auth", "pwd", "pass", "assertion")

_SCHEME = re.compile(r"(bearer|basic|negotiate|digest) ", re.IGNORECASE | re.ASCII)
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.")
_USER = re.compile(r"://[^/?# ]*@")


def _lower(text: str) -> str:
    """Make ASCII letters small, as names of headers compare."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def decoded(text: str) -> str:
    return unquote_to_bytes(text).decode(errors="replace")


def is_credential(text: str) -> bool:
    """Tell whether a text looks like a credential, or has one in it."""
    return bool(
        _SCHEME.match(text)
        or "otoapk_" in text
        or "-----BEGIN" in text
        or _TOKEN.search(text)
        or _USER.search(text)
    )


class Twin:
    """The rules with an operator's settings.

    Args:
        settings: `headers`, `query` and `fields`, each name to action, and `hash_key`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._headers = {_lower(k): v for k, v in settings.get("headers", {}).items()}
        self._query = {_lower(k): v for k, v in settings.get("query", {}).items()}
        self._fields = {_lower(k): v for k, v in settings.get("fields", {}).items()}
        self._key = settings.get("hash_key", "").encode()

    def header(self, name: str, value: str) -> str | None:
        return self._apply(_action(self._headers, (), name), value)

    def query(self, query: str) -> str:
        told: list[str] = []
        for part in query.split("&"):
            name, equals, value = part.partition("=")
            shown_name = MASK if is_credential(decoded(name)) else name
            if not equals:
                told.append(shown_name)
                continue
            plain = decoded(value)
            action = _action(self._query, PARAMETERS, decoded(name))
            if action == "strip":
                continue
            if action == "show":
                shown = MASK if is_credential(plain) else value
            else:
                shown = self._hash(plain) if action == "hash" else MASK
            told.append(f"{shown_name}={shown}")
        # A part that is empty and comes first leaves no trace.
        text = ""
        for part in told:
            text += f"&{part}" if text else part
        return text

    def path(self, path: str) -> str:
        if not is_credential(decoded(path)):
            return path
        told = "/".join(MASK if is_credential(decoded(s)) else s for s in path.split("/"))
        return f"/{MASK}" if is_credential(decoded(told)) else told

    def text(self, text: str) -> str:
        if is_credential(text) or is_credential(decoded(text)):
            return MASK
        before, mark, query = text.partition("?")
        return f"{before}?{self.query(query)}" if mark and "=" in query else text

    def json(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(item) for item in cast("list[object]", value)]
        return self._object(cast("dict[str, Any]", value)) if isinstance(value, dict) else value

    def _object(self, members: dict[str, Any]) -> dict[str, Any]:
        name, value = members.get("key"), members.get("value")
        if len(members) == 2 and isinstance(name, str) and isinstance(value, str):
            told = self.header(name, value)
            return {"key": name, "value": MASK if told is None else told}
        return {
            name: self.json(inner) if action == "show" else self._hidden(action, inner)
            for name, inner in members.items()
            if (action := _action(self._fields, (), name)) != "strip"
        }

    def _hidden(self, action: str, value: object) -> object:
        """Hide texts; the members of an object are judged by their own names."""
        if isinstance(value, str):
            return self._apply(action, value)
        if isinstance(value, list):
            return [self._hidden(action, item) for item in cast("list[object]", value)]
        return self._object(cast("dict[str, Any]", value)) if isinstance(value, dict) else value

    def _apply(self, action: str, value: str) -> str | None:
        match action:
            case "show":
                return self.text(value)
            case "strip":
                return None
            case "hash":
                return self._hash(value)
            case _:
                return MASK

    def _hash(self, value: str) -> str:
        return "hash:" + hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()[:24]


def _action(rules: dict[str, str], names: tuple[str, ...], name: str) -> str:
    """Find what is done with a value: by the operator's rule, else by what its name says."""
    lower = _lower(name)
    if lower in rules:
        return rules[lower]
    return "mask" if lower in names or any(word in lower for word in WORDS) else "show"
