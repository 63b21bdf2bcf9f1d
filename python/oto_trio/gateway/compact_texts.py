"""Many similar texts in little memory: what the installer keeps of each route, to compile it again.

Theory of operation
    The JSON of one route is nearly that of the next. Each text is compressed by itself, so that it can be
    read and replaced alone, but with a *dictionary*: texts that came before it, which the compressed text
    refers to as if they were its own beginning (RFC 1951, section 3.2). A route of 1.2 KB takes 60 octets. A text that the dictionary
    does not help with joins it: dictionaries grow to `DICTIONARY_BYTES`, there are `MAX_DICTIONARIES` at
    most, and each text remembers with which one it was compressed.

Bounds: `MAX_DICTIONARIES` times `DICTIONARY_BYTES`, besides the compressed texts.
"""

import zlib
from collections.abc import Iterator, KeysView
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


class CompactTexts:
    """Texts by id, compressed. Made for documents of some KB that resemble one another."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}  # the number of the dictionary, then the compressed text
        self._dictionaries: list[bytes] = []
        self._begin(b"")

    def __len__(self) -> int:
        """Return how many texts there are."""
        return len(self._texts)

    def __iter__(self) -> Iterator[str]:
        """Walk the ids."""
        return iter(self._texts)

    def __contains__(self, text_id: object) -> bool:
        """Tell whether there is a text under an id."""
        return text_id in self._texts

    def __getitem__(self, text_id: str) -> bytes:
        """Return a text. Raises KeyError when there is none.

        Cost: about 1 µs.
        """
        kept = self._texts[text_id]
        return zlib.decompressobj(-WINDOW_BITS, self._dictionaries[kept[0]]).decompress(kept[1:])

    def __setitem__(self, text_id: str, text: bytes) -> None:
        """Keep a text, new or in the place of another.

        Cost: about 7 µs for 1 KB.
        """
        self._texts[text_id] = kept = self._compressed(text)
        if len(kept) * POOR > len(text) and len(self._dictionaries) < MAX_DICTIONARIES:
            # The end of a dictionary is the nearest, and what does not fit any more is the oldest.
            self._begin((self._dictionaries[-1] + text)[-DICTIONARY_BYTES:])
            self._texts[text_id] = self._compressed(text)

    @property
    def kept_bytes(self) -> int:
        """How many octets are kept, dictionaries included."""
        return sum(map(len, self._texts.values())) + sum(map(len, self._dictionaries))

    def keys(self) -> KeysView[str]:
        """Return the ids."""
        return self._texts.keys()

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Walk ids with their texts; there must be no change meanwhile."""
        for text_id in self._texts:
            yield text_id, self[text_id]

    def remove(self, text_id: str) -> bool:
        """Forget a text; tell whether there was one."""
        return self._texts.pop(text_id, None) is not None

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
        number = bytes((len(self._dictionaries) - 1,))
        return number + compressor.compress(text) + compressor.flush()
