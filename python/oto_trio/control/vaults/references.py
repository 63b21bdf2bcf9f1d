"""Finds ``${vault://…}`` in documents, and puts secrets in the place of them.

    ${vault://name/path/of/it?option=value}
    ${vault://a/x || vault://b/y}      the first of them that can be had
    ${vault://a/x && vault://a/y}      one of them, the next one each time

The text of a document is searched, not its structure: what is not replaced stays as it is, byte for byte. A secret
may hold anything; it is escaped, and never looked into again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qsl, unquote

import msgspec

from oto_trio.control.vaults.base import SecretError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "MAX_EXPRESSIONS",
    "MAX_INSERTED_BYTES",
    "MAX_REFERENCES",
    "NOT_FOUND",
    "Filled",
    "Reference",
    "fill",
    "has_references",
    "parse_reference",
    "references_of",
    "refers_to_secret",
]

NOT_FOUND: Final = "not-found"
"""Stands where a secret cannot be had, as in Otoroshi."""

MAX_EXPRESSIONS: Final = 256
"""Expressions of one document that are replaced; the others get `NOT_FOUND`."""

MAX_REFERENCES: Final = 64
"""Different secrets that one document refers to; of the others none is read."""

MAX_INSERTED_BYTES: Final = 4 * 1024 * 1024
"""Bytes of secrets that one document gets, so that it still fits into a frame of the link."""

_MAX_REFERENCE_CHARS: Final = 1024

_SCHEME: Final = "vault://"
_MARK: Final = b"${vault://"

_EXPRESSION: Final = re.compile(rb'\$\{(vault://(?:[^}"\\]|\\.)*)\}')

Alternatives: TypeAlias = "tuple[tuple[str, ...], ...]"
"""The references of an expression: of each alternative those that take turns."""


class Reference(msgspec.Struct, frozen=True):
    """Where a secret is."""

    vault: str
    path: tuple[str, ...]
    options: dict[str, str]


class Filled(msgspec.Struct, frozen=True):
    """A document with its secrets."""

    document: bytes
    is_cut: bool
    """Whether it has more expressions, references or bytes of secrets than are allowed."""


def has_references(document: bytes) -> bool:
    """Tell whether a document may refer to a secret; fast, for it is asked of each."""
    return _MARK in document


def refers_to_secret(text: str) -> bool:
    """Tell whether a text of a document, decoded, may refer to a secret: then it is none itself."""
    return _MARK.decode() in text


def references_of(document: bytes) -> tuple[str, ...]:
    """Name the secrets that a document refers to, each one once, `MAX_REFERENCES` at most."""
    found: dict[str, None] = {}
    for number, match in enumerate(_EXPRESSION.finditer(document)):
        if number >= MAX_EXPRESSIONS:
            break
        for alternative in _alternatives(match[1]):
            found.update(dict.fromkeys(alternative))
    return tuple(found)[:MAX_REFERENCES]


def fill(
    document: bytes,
    values: Mapping[str, str | None],
    turn: Callable[[str, int], int],
    *,
    missing: Callable[[], str] = lambda: NOT_FOUND,
) -> Filled:
    """Put secrets in the place of the references to them.

    Args:
        document: JSON text.
        values: Each secret by its reference; None when it cannot be had.
        turn: Gives the turn, 0 to below its second argument, for an expression of which several references
            take turns; the first one is a name for it.
        missing: Makes what stands where no secret can be had.
    """
    count, inserted, is_cut = 0, 0, False

    def replaced(match: re.Match[bytes]) -> bytes:
        nonlocal count, inserted, is_cut
        count += 1
        value = None
        if count <= MAX_EXPRESSIONS:
            for alternative in _alternatives(match[1]):
                chosen = turn(" && ".join(alternative), len(alternative)) if alternative[1:] else 0
                is_cut = is_cut or alternative[chosen] not in values
                value = values.get(alternative[chosen])
                if value is not None:
                    break
        else:
            is_cut = True
        text = _escaped(missing() if value is None else value)
        if inserted + len(text) > MAX_INSERTED_BYTES:
            is_cut = True
            return _escaped(missing())
        inserted += len(text)
        return text

    return Filled(_EXPRESSION.sub(replaced, document), is_cut)


def parse_reference(text: str) -> Reference:
    """Read a reference such as ``vault://name/path?option=value``.

    Raises:
        SecretError: It is none.
    """
    if len(text) > _MAX_REFERENCE_CHARS:
        raise SecretError("bad-secret-path", f"it is over {_MAX_REFERENCE_CHARS} characters long")
    where, _, query = text.removeprefix(_SCHEME).partition("?")
    vault, *path = where.split("/")
    segments = tuple(unquote(segment).strip() for segment in path if segment.strip())
    # A vault's token may read more than its mount; nobody climbs out of that.
    if not vault or any(s in {"", ".", ".."} or "/" in s or "\0" in s for s in segments):
        raise SecretError("bad-secret-path", "write it as vault://name/path")
    return Reference(vault, segments, dict(parse_qsl(query, keep_blank_values=True)))


def _alternatives(expression: bytes) -> Alternatives:
    """Take an expression, as JSON has it, apart."""
    try:
        text: str = msgspec.json.decode(b'"' + expression + b'"', type=str)
    except (msgspec.DecodeError, UnicodeError):
        return ()
    return tuple(
        tuple(part.strip() for part in alternative.split("&&")) for alternative in text.split("||")
    )


def _escaped(text: str) -> bytes:
    """Return a text as it stands inside of a JSON string."""
    return msgspec.json.encode(text)[1:-1]
