"""How Otoroshi's header fields about a call are written."""

from datetime import UTC, datetime

__all__ = ["timestamp"]


def timestamp(unix_s: float) -> str:
    """Return a time in Unix seconds as ``2026-11-22T10:41:30.123+00:00``, its milliseconds cut off."""
    whole_s, ms = divmod(int(unix_s * 1000), 1000)
    text = datetime.fromtimestamp(whole_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms:03}+00:00"
