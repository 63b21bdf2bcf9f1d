"""Domain names in configs, with ``*`` for any text."""

from collections.abc import Iterable

from oto_trio.model.matching import is_wildcard_match

__all__ = ["is_domain_in"]


def is_domain_in(domain: str, entries: Iterable[str]) -> bool:
    """Tell whether a domain is in a list.

    Args:
        domain: The domain, in lower case.
        entries: Domain names in any case; ``*`` stands for any text, an empty one for nothing.
    """
    names = (entry.strip().lower() for entry in entries)
    return any(is_wildcard_match(name, domain) for name in names if name)
