"""What the commands have in common in how they read numbers and speak of errors."""

import urllib.error

import click

__all__ = ["Integer", "spoken"]


class Integer(click.IntRange):
    """A whole number within bounds, which help and errors call an integer."""

    name = "integer"


def spoken(error: Exception) -> str:
    """Say why something could not be reached, without the wrapping of the library."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason)
