"""Regular expressions in configs: Java's syntax, the whole text, in time linear in the text."""

from oto_trio._core import Pattern

__all__ = ["Pattern", "pattern_fault"]


def pattern_fault(source: str) -> str | None:
    """Tell what is wrong with an expression; ``None`` when nothing is."""
    try:
        Pattern(source)
    except (ValueError, UnicodeEncodeError) as error:
        return str(error)
    return None
