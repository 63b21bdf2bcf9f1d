"""What a side of a WebSocket agrees on about compression: the words of permessage-deflate (RFC 7692 section 7.1).

Where plugins look at messages the gateway is an end of both connections, so each side agrees with the gateway alone. As a server it
takes the first offer that it can keep; to backends it makes the offer that browsers make.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from oto_trio.plugin_api.exchange import Headers

__all__ = ["CONTEXTS", "FIELD", "OFFER", "Contexts", "Deflate", "accept_offer", "read_answer"]

FIELD: Final = "Sec-WebSocket-Extensions"
"""The field that offers and answers are in."""
_NAME: Final = "permessage-deflate"
OFFER: Final = f"{_NAME}; client_max_window_bits"
"""What backends are offered: any window, of theirs and of the gateway's."""

_LEAST_BITS: Final = 8
_MOST_BITS: Final = 15
_OWN_BITS: Final = 12
"""The window that the gateway compresses with, and asks of clients that let it choose: 4 KiB."""
_TOKEN: Final = frozenset(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
_FLAGS: Final = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS: Final = ("server_max_window_bits", "client_max_window_bits")

MEMORY_LEVEL: Final = 5
"""How much memory zlib compresses with, beside its window."""
_INFLATER_BYTES: Final = 10 * 1024
"""What an inflater holds beside its window, at most."""
_DEFLATER_BYTES: Final = 6 * 1024


class Deflate(msgspec.Struct, frozen=True):
    """What was agreed on with one side, as the gateway sees it.

    Args:
        receive_bits: The largest window of what it sends, 8 to 15, as a power of two.
        forgets_received: Whether it begins each message anew.
        send_bits: The largest window of what the gateway may send it.
        forgets_sent: Whether the gateway has to begin each message anew.
    """

    receive_bits: int = _MOST_BITS
    forgets_received: bool = False
    send_bits: int = _OWN_BITS
    forgets_sent: bool = False

    @property
    def memory(self) -> int:
        """How many bytes both contexts hold at most."""
        inflater = (1 << self.receive_bits) + _INFLATER_BYTES
        return inflater + (1 << self.send_bits + 2) + (1 << MEMORY_LEVEL + 9) + _DEFLATER_BYTES


class Contexts:
    """The memory of contexts for compression in a worker, and its bound.

    Args:
        most_bytes: While so much is held, further connections agree on no compression.
    """

    def __init__(self, most_bytes: int = 64 * 1024 * 1024) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0
        """What the contexts of all connections hold at most."""

    @property
    def has_room(self) -> bool:
        """Whether further connections may agree on compression."""
        return self.held_bytes < self.most_bytes


CONTEXTS: Final = Contexts()
"""Those of this worker: a worker is a process."""


class _Extension(NamedTuple):
    name: str
    parameters: dict[str, str | None]


def accept_offer(headers: Headers) -> tuple[Deflate, str] | None:
    """Take the first offer of a client that can be kept.

    Args:
        headers: Of the request.

    Returns:
        What is agreed on, and the value of the answer's field; None when there is no such offer.
    """
    try:
        offers = _read(headers.get_all(FIELD))
    except ValueError:
        return None  # extensions are optional: it gets a WebSocket without
    for offer in offers:
        if offer.name == _NAME:
            try:
                flags, windows = _parameters(offer)
            except ValueError:
                continue
            return _accepted(flags, windows)
    return None


def _accepted(flags: Sequence[str], windows: dict[str, int | None]) -> tuple[Deflate, str]:
    """Choose within what a client offers."""
    send_bits = min(windows.get("server_max_window_bits") or _OWN_BITS, _OWN_BITS)
    answer = [_NAME, *flags, f"server_max_window_bits={send_bits}"]
    receive_bits = _MOST_BITS
    if "client_max_window_bits" in windows:
        receive_bits = min(windows["client_max_window_bits"] or _OWN_BITS, _OWN_BITS)
        answer.append(f"client_max_window_bits={receive_bits}")
    deflate = Deflate(
        receive_bits,
        "client_no_context_takeover" in flags,
        send_bits,
        "server_no_context_takeover" in flags,
    )
    return deflate, "; ".join(answer)


def read_answer(headers: Headers) -> Deflate | None:
    """Read what a backend makes of `OFFER`.

    Args:
        headers: Of the response.

    Returns:
        What is agreed on; None for no compression.

    Raises:
        ValueError: It agrees to what was not offered.
    """
    extensions = _read(headers.get_all(FIELD))
    if not extensions:
        return None
    if len(extensions) > 1 or extensions[0].name != _NAME:
        raise ValueError("the backend agrees to an extension that was not offered")
    flags, windows = _parameters(extensions[0])
    if windows.get("client_max_window_bits", _MOST_BITS) is None:
        raise ValueError("client_max_window_bits of the backend's answer has no value")
    return Deflate(
        windows.get("server_max_window_bits") or _MOST_BITS,
        "server_no_context_takeover" in flags,
        min(windows.get("client_max_window_bits") or _OWN_BITS, _OWN_BITS),
        "client_no_context_takeover" in flags,
    )


def _parameters(extension: _Extension) -> tuple[list[str], dict[str, int | None]]:
    """Return the parameters without a value, and the sizes of windows.

    Raises:
        ValueError: One is not known, or its value is none.
    """
    flags: list[str] = []
    windows: dict[str, int | None] = {}
    for name, value in extension.parameters.items():
        if name in _FLAGS and value is None:
            flags.append(name)
        elif name in _WINDOWS:
            windows[name] = _bits(name, value)
        else:
            raise ValueError(f"{name} with the value {value!r} is no parameter of {_NAME}")
    return flags, windows


def _bits(name: str, value: str | None) -> int | None:
    """Read the size of a window; only that of the client may be left open."""
    if value is None and name == "client_max_window_bits":
        return None
    if value is None or value not in {str(bits) for bits in range(_LEAST_BITS, _MOST_BITS + 1)}:
        raise ValueError(f"{name} is {value!r}; it has to be 8 to 15")
    return int(value)


def _read(values: Sequence[str]) -> list[_Extension]:
    """Read a list of extensions (RFC 6455 section 9.1).

    Raises:
        ValueError: It is none, or has a parameter twice.
    """
    found: list[_Extension] = []
    for item in _split(", ".join(values), ","):
        if not item:
            continue
        name, *parts = _split(item, ";")
        parameters: dict[str, str | None] = {}
        for part in parts:
            key, sign, text = part.partition("=")
            key = key.rstrip(" \t")
            value = _value(text.lstrip(" \t")) if sign else None
            if not _is_token(key) or key in parameters:
                raise ValueError(f"{key!r} is no parameter of an extension, or is there twice")
            parameters[key] = value
        if not _is_token(name):
            raise ValueError(f"{name!r} is no name of an extension")
        found.append(_Extension(name, parameters))
    return found


def _value(text: str) -> str:
    """Read a value, in quotes or without; what is in quotes has to be a token, too."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace("\\", "")
    if not _is_token(text):
        raise ValueError(f"{text!r} is no value of a parameter")
    return text


def _is_token(text: str) -> bool:
    return bool(text) and _TOKEN.issuperset(text)


def _split(text: str, sign: str) -> Iterator[str]:
    """Split at a sign; none can be in quotes, as what is there is a token."""
    return (part.strip(" \t") for part in text.split(sign))
