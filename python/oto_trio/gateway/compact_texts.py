"""Many similar texts in little memory: what the installer keeps of each route, to compile it again.

Theory of operation
    The JSON of one route is nearly that of the next. Each text is compressed by itself, so that it can be
    read and replaced alone, but with a *dictionary*: texts that came before it, which the compressed text
    refers to as if they were its own beginning (RFC 1951, section 3.2). A route of 1.2 KB takes 60 octets. A text that the dictionary
    does not help with joins it: dictionaries grow to `DICTIONARY_BYTES`, there are `MAX_DICTIONARIES` at
    most, and each text remembers with which one it was compressed.
    An id, an object for it and a place in a table would still be three times what is left of such a text. So the
    texts lie one behind the other, with their ids, in some thousand `bytearray`s; which one, the id's hash
    says, and what is in it is read from its beginning. An edit moves what lies behind in one of them, some
    KB, so that none takes longer than others, as the growth of one large table would.

Bounds: `MAX_DICTIONARIES` times `DICTIONARY_BYTES`, besides the compressed texts.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

__all__ = ["DICTIONARY_BYTES", "MAX_DICTIONARIES", "CompactTexts"]

WINDOW_BITS: Final = 13
DICTIONARY_BYTES: Final = 1 << WINDOW_BITS
"""As far back as the compressor looks; more would be copied for each text and help few."""

MAX_DICTIONARIES: Final = 64

POOR: Final = 4
"""A text of which more than this part (one over) is left did not find itself in the dictionary."""

_MEMORY_LEVEL: Final = 3
"""The compressor's own tables: small ones, for they are copied for each text."""

_LEVEL: Final = 1


SHELVES: Final = 4096
"""Among so many `bytearray`s the texts are spread: with 100,000 texts each holds about 24."""

_HEAD: Final = struct.Struct("=IIB")
"""What lies before a text: the octets of its id, those of the compressed text, the number of its dictionary."""


class CompactTexts:
    """Texts by id, compressed. Made for documents of some KB that resemble one another.

    They are walked in the order of their ids' hashes.
    """

    def __init__(self) -> None:
        # A head, the id and the compressed text, then the next head.
        self._shelves: list[bytearray | None] = [None] * SHELVES
        self._count = 0
        self._dictionaries: list[bytes] = []
        self._begin(b"")

    def __len__(self) -> int:
        """Return how many texts there are."""
        return self._count

    def __iter__(self) -> Iterator[str]:
        """Walk the ids; there must be no change meanwhile."""
        for key, _, _ in self._walk():
            yield _read(key)

    def __contains__(self, text_id: object) -> bool:
        """Tell whether there is a text under an id."""
        if not isinstance(text_id, str):
            return False
        key = _written(text_id)
        return _find(self._shelf(key), key) is not None

    def __getitem__(self, text_id: str) -> bytes:
        """Return a text. Raises KeyError when there is none.

        Cost: a few µs among 100,000.
        """
        key = _written(text_id)
        shelf = self._shelf(key)
        if (place := _find(shelf, key)) is None:
            raise KeyError(text_id)
        _, start, end, number = place
        return self._expanded(shelf[start:end], number)

    def __setitem__(self, text_id: str, text: bytes) -> None:
        """Keep a text, new or in the place of another.

        Cost: about 10 µs for 1 KB.
        """
        kept = self._compressed(text)
        if len(kept) * POOR > len(text) and len(self._dictionaries) < MAX_DICTIONARIES:
            # The end of a dictionary is the nearest, and what does not fit any more is the oldest.
            self._begin((self._dictionaries[-1] + text)[-DICTIONARY_BYTES:])
            kept = self._compressed(text)
        key = _written(text_id)
        record = _HEAD.pack(len(key), len(kept), len(self._dictionaries) - 1) + key + kept
        number = hash(key) % SHELVES
        shelf = self._shelves[number]
        if shelf is None:
            shelf = self._shelves[number] = bytearray()
        if (place := _find(shelf, key)) is None:
            shelf += record
            self._count += 1
        else:
            shelf[place[0] : place[2]] = record

    @property
    def kept_bytes(self) -> int:
        """How many octets are kept, ids and dictionaries included."""
        kept = sum(len(shelf) for shelf in self._shelves if shelf)
        return kept + sum(map(len, self._dictionaries))

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Walk ids with their texts; there must be no change meanwhile."""
        for key, kept, number in self._walk():
            yield _read(key), self._expanded(kept, number)

    def remove(self, text_id: str) -> bool:
        """Forget a text; tell whether there was one."""
        key = _written(text_id)
        shelf = self._shelf(key)
        if (place := _find(shelf, key)) is None:
            return False
        del shelf[place[0] : place[2]]
        self._count -= 1
        return True

    def _shelf(self, key: bytes) -> bytearray:
        """Return where an id's text lies, if anywhere; it is only read, unless there is something in it."""
        return self._shelves[hash(key) % SHELVES] or bytearray()

    def _walk(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Walk what is kept: ids as they are written, compressed texts, numbers of dictionaries."""
        for shelf in self._shelves:
            at = 0
            while shelf and at < len(shelf):
                id_size, text_size, number = _HEAD.unpack_from(shelf, at)
                start = at + _HEAD.size + id_size
                at = start + text_size
                yield bytes(shelf[start - id_size : start]), bytes(shelf[start:at]), number

    def _begin(self, dictionary: bytes) -> None:
        """Compress with another dictionary from now on."""
        self._dictionaries.append(dictionary)
        self._compressor = zlib.compressobj(
            _LEVEL,
            zlib.DEFLATED,
            -WINDOW_BITS,
            _MEMORY_LEVEL,
            zlib.Z_DEFAULT_STRATEGY,
            dictionary,
        )

    def _compressed(self, text: bytes) -> bytes:
        """Compress a text with the newest dictionary."""
        compressor = self._compressor.copy()
        return compressor.compress(text) + compressor.flush()

    def _expanded(self, kept: bytes | bytearray, number: int) -> bytes:
        """Return what was compressed with a dictionary."""
        return zlib.decompressobj(-WINDOW_BITS, self._dictionaries[number]).decompress(kept)


def _written(text_id: str) -> bytes:
    """Return an id as it lies among the texts, whatever characters it has."""
    return text_id.encode("utf-8", "surrogatepass")


def _read(key: bytes) -> str:
    """Return the id that was written."""
    return key.decode("utf-8", "surrogatepass")


def _find(shelf: bytearray, key: bytes) -> tuple[int, int, int, int] | None:
    """Return where the record of an id begins, where its text begins and ends, and its dictionary's number."""
    at, size, wanted = 0, len(shelf), len(key)
    while at < size:
        id_size, text_size, number = _HEAD.unpack_from(shelf, at)
        start = at + _HEAD.size + id_size
        end = start + text_size
        if id_size == wanted and shelf.startswith(key, at + _HEAD.size):
            return at, start, end, number
        at = end
    return None
