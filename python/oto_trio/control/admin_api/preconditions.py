"""Conditional requests: entity tags, ``If-Match`` and ``If-None-Match``, so that no writer undoes another's work.

A tag is ``"<revision>-<digest>"``: the revision of the transaction that last wrote the entity, and a digest
of what is answered, which also depends on the query, the format, and on what the entity refers to. A write
is decided by the revision alone, and in the store's own transaction: what the condition was compared with
is what the write expects to find. ``"<revision>"`` is taken too, as the header ``Oto-Trio-Revision`` has it.

Source: RFC 9110, sections 8.8.3 and 13.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, Literal, Self

import msgspec

from oto_trio.control.admin_api.answers import wanted_format
from oto_trio.control.admin_api.refusals import ApiError, bad_request

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.model.document import JsonObject

__all__ = [
    "NO_PRECONDITIONS",
    "Preconditions",
    "digest_of",
    "entity_tag",
    "moved",
    "read_at",
    "read_preconditions",
    "refuse_preconditions",
]

MOST_TAGS: Final = 64
"""Tags taken from one header."""

MOST_DIGITS: Final = 18
"""Digits of a revision."""

_TAG: Final = re.compile(r'\s*(?P<weak>W/)?"(?P<text>[\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_VARYING: Final = ("envelope", "fields", "pretty")

Tags = tuple[str, ...] | Literal["*"] | None
"""The tags of a header, any entity, or no header."""


class Preconditions(msgspec.Struct, frozen=True):
    """What a request wants to be so, or else not be done."""

    match: Tags = None
    """``If-Match``; weak tags are left out, as they never match."""
    none_match: Tags = None
    """``If-None-Match``."""

    def check_write(self, revision: int | None) -> None:
        """Refuse a write whose conditions do not hold.

        Args:
            revision: Revision of the stored entity; None when there is none.

        Raises:
            ApiError: They do not hold (412).
        """
        if self.match is not None and not _names(self.match, revision):
            raise _failed("If-Match", revision)
        if self.none_match is not None and _names(self.none_match, revision):
            raise _failed("If-None-Match", revision)

    def is_unmodified(self, tag: str, revision: int) -> bool:
        """Tell whether a reader has what would be answered (304).

        Args:
            tag: Tag of the answer, in its quotes.
            revision: Revision of the entity.

        Raises:
            ApiError: ``If-Match`` does not hold (412).
        """
        if self.match is not None and not _names(self.match, revision):
            raise _failed("If-Match", revision)
        return self.none_match is not None and (
            self.none_match == "*" or tag.strip('"') in self.none_match
        )

    @classmethod
    def of(cls, match: str | None, none_match: str | None) -> Self:
        """Read the two headers; None where there is none.

        Raises:
            ApiError: One of them is no list of tags; the message names it.
        """
        return cls(
            _tags(match, "If-Match", strong=True),
            _tags(none_match, "If-None-Match", strong=False),
        )


NO_PRECONDITIONS: Final = Preconditions()
"""Those of a request that has none."""


def _names(tags: tuple[str, ...] | Literal["*"], revision: int | None) -> bool:
    """Tell whether some tags name a stored revision."""
    if revision is None:
        return False
    return tags == "*" or any(tag.partition("-")[0] == str(revision) for tag in tags)


def _failed(header: str, revision: int | None) -> ApiError:
    """Make the refusal of a request whose condition does not hold."""
    found = "there is no such entity" if revision is None else f"it is at revision {revision} now"
    return ApiError(
        412, "precondition_failed", f"{header} does not hold: {found}; read the entity again"
    )


def _tags(header: str | None, name: str, *, strong: bool) -> Tags:
    """Read a list of tags, or ``*``."""
    if header is None:
        return None
    if header.strip() == "*":
        return "*"
    tags: list[str] = []
    place = 0
    while place < len(header):
        found = _TAG.match(header, place)
        if found is None or len(tags) == MOST_TAGS:
            raise bad_request(
                f'{name} is no list of at most {MOST_TAGS} entity tags; write * or "tag", "tag"'
            )
        if not (strong and found["weak"]):
            tags.append(found["text"])
        place = found.end()
    return tuple(tags)


def read_preconditions(request: Request) -> Preconditions:
    """Read the conditions of a request.

    Raises:
        ApiError: A header is no list of entity tags.
    """
    headers = request.headers
    given = {name: headers.getlist(name) for name in ("if-match", "if-none-match")}
    match, none_match = (", ".join(values) if values else None for values in given.values())
    return Preconditions.of(match, none_match)


def refuse_preconditions(request: Request) -> None:
    """Refuse the conditions of a request that writes several entities: they name the state of one.

    Raises:
        ApiError: There are some (400); ignored, they would let a writer undo another's work.
    """
    for name, shown in (("if-match", "If-Match"), ("if-none-match", "If-None-Match")):
        if name in request.headers:
            raise bad_request(
                f"{shown} names the state of one entity, and this writes several; leave it out, or write "
                "each entity by its own path"
            )


def read_at(request: Request) -> int | None:
    """Read ``?at=``: the revision that the whole configuration must have, or else nothing is done.

    Returns:
        The revision; None when any will do.

    Raises:
        ApiError: It is no number.
    """
    text = request.query_params.get("at")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise bad_request(
            f"at={text[:100]!r} is no revision; write the number that a dry run answered"
        )
    return int(text)


def moved(at: int, found: int) -> ApiError:
    """Make the refusal of a request that wanted the configuration at another revision."""
    return ApiError(
        412,
        "precondition_failed",
        f"the configuration is at revision {found} now, not at {at}; look again at what would change",
    )


def digest_of(document: JsonObject) -> int:
    """Return a digest of a document as it is answered.

    Cost: about 10 µs for a route.
    """
    return zlib.crc32(msgspec.json.encode(document))


def entity_tag(request: Request, revision: int, digest: int) -> str:
    """Make the tag of an answer that shows one entity, with its quotes.

    Args:
        request: What is answered; its query and the format it wants make another representation.
        revision: Revision of the entity.
        digest: `digest_of` what is stored, as it reads now.
    """
    params = request.query_params
    shape = [f"{name}={params[name]}" for name in _VARYING if name in params]
    form = wanted_format(request)
    variant = "&".join([*([] if form == "application/json" else [form]), *shape])
    return f'"{revision}-{zlib.crc32(variant.encode(), digest):08x}"'
