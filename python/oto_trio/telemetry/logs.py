"""The log of a process: one line an event on standard error, as text or as JSON.

Supervisor and workers write to the same stream, so a line is written whole, and says which of them it is
from.
"""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import msgspec
from typing_extensions import override

__all__ = ["LogFormat", "configure_logging", "without_credentials"]

LogFormat: TypeAlias = Literal["text", "json"]

_MASK: Final = "***"

_CREDENTIALS: Final = re.compile(
    r"""
    eyJ[\w-]{5,}\.[\w.-]*                        # a JSON Web Token
    | otoapk_[^\s'",;]+                          # a token of an API key
    | (?<=://)[^/\s@'"]{1,512}(?=@)              # user and password of a URL
    | -----BEGIN\ [A-Z ]{0,32}PRIVATE\ KEY-----[\s\S]*?(?:-----END[A-Z ]{1,48}-----|\Z)
    | (?P<scheme>\b(?:[Bb]earer|[Bb]asic)\ +)(?P<given>[\w.~+/=-]{6,})
    """,
    re.VERBOSE,
)


def without_credentials(text: str) -> str:
    """Mask what looks like a credential in a text that somebody else wrote, such as a plugin's exception.

    The gateway's own lines hold none; this is for those of plugins and libraries. A secret that looks like any other
    word cannot be told from one.
    """
    return _CREDENTIALS.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    scheme = match["scheme"]
    if scheme is None:
        return _MASK
    # "basic authentication" is a scheme too, and no credential.
    return match[0] if match["given"].rstrip(".").isalpha() else scheme + _MASK


class _JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": self._source,
            "logger": record.name,
            "message": without_credentials(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = without_credentials(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


class _TextFormatter(logging.Formatter):
    """Formats a record as a line to read; a traceback follows on lines of its own."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    @override
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        line = f"{time} {record.levelname:<7} {self._source}: {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return without_credentials(line)


def configure_logging(form: LogFormat, *, source: str, level: str = "INFO") -> None:
    """Send this process's log to standard error; what was configured before is replaced.

    Args:
        form: `text` or `json`.
        source: Who writes, such as `supervisor` or `worker 1`.
        level: Name of the lowest level that is written.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(source) if form == "json" else _TextFormatter(source))
    root = logging.getLogger()
    for known in root.handlers[:]:
        root.removeHandler(known)
    root.addHandler(handler)
    root.setLevel(level)
