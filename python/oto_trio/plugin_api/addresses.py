"""Sets of IP addresses as configs write them: addresses, ranges, and patterns with ``*``.

The engine has its own, which is quicker; this is its readable twin, and what configs are checked with.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeAlias

from oto_trio.model.matching import is_wildcard_match

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AddressSet", "address_fault"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Range: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def address_fault(entry: str) -> str | None:
    """Tell what is wrong with an entry of a list of addresses; ``None`` when nothing is.

    Args:
        entry: An address, a range (CIDR), or a pattern with ``*``; empty means nothing.
    """
    text = entry.strip()
    if not text or ("*" in text and "/" not in text) or _read(text) is not None:
        return None
    return (
        f"{text!r} is no address; write one (10.0.0.7), a range (10.0.0.0/8) or a pattern (10.0.*)"
    )


class AddressSet:
    """A set of addresses.

    Args:
        entries: As `address_fault` takes them.

    Raises:
        ValueError: An entry is no address; the message has its place and the fix.

    Source: Otoroshi: an entry with ``/`` is a range, any other a pattern for the address as text.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._ranges: list[Range] = []
        self._patterns: list[str] = []
        for place, entry in enumerate(entries):
            text = entry.strip()
            if not text:
                continue
            found = _read(text)
            if found is not None:
                self._ranges.append(found)
            elif "*" in text and "/" not in text:
                self._patterns.append(text)
            else:
                raise ValueError(f"[{place}]: {address_fault(text)}")

    def __bool__(self) -> bool:
        return bool(self._ranges or self._patterns)

    def __contains__(self, address: str) -> bool:
        """Tell whether an address is in the set; a text that is none can only match a pattern.

        An IPv4 address in IPv6 dress (``::ffff:10.0.0.7``) counts as IPv4.
        """
        found = _address(address)
        text = address if found is None else str(found)
        return any(is_wildcard_match(pattern, text) for pattern in self._patterns) or (
            found is not None and any(found in each for each in self._ranges)
        )


def _address(text: str) -> Address | None:
    """Read an address, without a zone."""
    try:
        found = None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _read(text: str) -> Range | None:
    """Read an address or a range."""
    address, slash, length = text.partition("/")
    if not slash:
        found = _address(text)
        return None if found is None else ipaddress.ip_network(found)
    if not (length.isascii() and length.isdigit()) or "%" in address:
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        first = network.network_address.ipv4_mapped
        return ipaddress.ip_network(f"{first}/{network.prefixlen - 96}")
    return network
