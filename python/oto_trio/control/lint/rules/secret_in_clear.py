"""Secrets in documents, and places of documents, that are not there to hold them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.model.api_key import ApiKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.documents import Item
    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]

PLACES: Final = {
    "apikeys": (r"\$\.clientSecret", r"\$\.rotation\.nextSecret"),
    "certificates": (r"\$\.privateKey", r"\$\.password"),
    "jwt-verifiers": (r"\$\.(strategy\.)?algoSettings\.(secret|privateKey)",),
}
"""Where each kind keeps a secret that it is about."""

NAME: Final = re.compile(
    r"(?i)(^|[._-]|[a-z](?=[A-Z]))"
    r"(client_?secret|secret|passw(or)?d|passphrase|api_?key|private_?key|(access|auth|bearer)_?token)$"
)
"""Names of keys whose text is a secret."""

SHAPES: Final = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    (
        "a password in a URL",
        re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@$]+@", re.IGNORECASE),
    ),
    ("credentials", re.compile(r"(?:Basic|Bearer) [A-Za-z0-9+/_=.-]{8,}$")),
    ("a signed token", re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")),
    ("an access key of AWS", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a bearer of an API key", re.compile(r"\botoapk_\w+_[0-9a-f]{64}\b")),
)
"""What secrets look like, wherever they are."""

HASH: Final = re.compile(r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}")
"""A password that was hashed with BCrypt, as those of administrators are: nobody can read it."""

SHORTEST: Final = 8
"""Characters below which the secret of an API key is not searched for in other documents."""

LONGEST: Final = 16_384
"""Characters of a text that are looked at."""


def _find(ground: Ground) -> Iterator[Hit]:
    secrets = {
        key.client_secret: item.id
        for item, key in ground.of(ApiKey)
        if len(key.client_secret) >= SHORTEST and "${" not in key.client_secret
    }
    for item in ground.items:
        for path, name, text in _texts(item.document, "$", ""):
            what = None if _is_place(item, path) else _what(name, text[:LONGEST], secrets)
            if what is not None:
                yield Hit(
                    item,
                    path,
                    f"{what} stands here in clear, for everybody who may read the document",
                    "refer to it with ${vault://…} or an expression where the field takes one, and "
                    "replace it: it has been readable",
                )


def _texts(value: object, path: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Walk the texts of a document with their path and the key they stand under."""
    if isinstance(value, str):
        yield path, name, value
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield from _texts(inner, f"{path}.{key}", key)
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from _texts(inner, f"{path}[{index}]", name)


def _is_place(item: Item, path: str) -> bool:
    """Tell whether the kind of entity keeps its secret there."""
    return any(re.fullmatch(place, path) for place in PLACES.get(item.resource.plural, ()))


def _what(name: str, text: str, secrets: dict[str, str]) -> str | None:
    """Say what secret a text is, or holds; None when it is none."""
    if text in secrets:
        return f"the secret of the API key {secrets[text]}"
    for what, shape in SHAPES:
        if shape.search(text):
            return what
    is_hidden = "${" in text or HASH.fullmatch(text) is not None
    is_secret = NAME.search(name) is not None and text.strip() and not is_hidden
    return f"what is called {name}" if is_secret else None


RULE = Rule(
    "secret-in-clear",
    "warning",
    "A password, key or token is written out in a document that is not the place for it.",
    _find,
)
