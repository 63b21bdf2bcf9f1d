"""The log of a process: one line an event on standard error, as text or as JSON.

Supervisor and workers write to the same stream, so a line says which of them it is from, and is written in one piece; a pipe
that is full keeps a piece together up to `select.PIPE_BUF`, 4 KiB, and may have another process's lines within a longer one. Nobody who logs waits for whoever reads the stream (`log_queue`).
"""

import logging
import re
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal, TypeAlias

import msgspec
from typing_extensions import override

from oto_trio.telemetry.log_queue import QueuedHandler, writer_to

__all__ = [
    "LogFormat",
    "configure_logging",
    "flush_log",
    "lost_lines",
    "say_last",
    "without_credentials",
]

logger = logging.getLogger(__name__)

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

    What Python itself would write there, and wait for room, is logged as well: what ends the process unhandled, what fails where
    nobody can be told, and warnings.

    Args:
        form: `text` or `json`.
        source: Who writes, such as `supervisor` or `worker 1`.
        level: Name of the lowest level that is written.
    """
    handler = QueuedHandler(writer_to(sys.stderr))
    handler.setFormatter(_JsonFormatter(source) if form == "json" else _TextFormatter(source))
    root = logging.getLogger()
    for known in root.handlers[:]:
        root.removeHandler(known)
        if isinstance(known, QueuedHandler):
            known.flush()
            known.close()
    root.addHandler(handler)
    root.setLevel(level)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    logging.captureWarnings(capture=True)


def flush_log() -> None:
    """Wait until this process's log is written, as long as `log_queue.FLUSH_S` at most."""
    for handler in _queues():
        handler.flush()


def lost_lines() -> int:
    """Return how many lines of this process's log were lost, as nobody took them."""
    return sum(handler.lost for handler in _queues())


def say_last(text: str) -> bool:
    """Write a text for whoever started this process behind its log, and wait for it as `flush_log` does.

    For a process that ends: until it has, nothing more is waited for than what is left of that time.

    Returns:
        Whether it was written, or lost, by the log; without one it is the caller's to write.
    """
    queues = _queues()
    for handler in queues:
        handler.say(text, is_urgent=True)
        handler.flush_last()
    return bool(queues)


def _queues() -> list[QueuedHandler]:
    return [it for it in logging.getLogger().handlers if isinstance(it, QueuedHandler)]


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Log what ends the process."""
    logger.critical("the process ends", exc_info=(kind, error, traceback))


def _log_unraisable(failed: "sys.UnraisableHookArgs") -> None:
    """Log what failed where nobody can be told, such as in a finalizer."""
    what, value = failed.err_msg or "Exception ignored in", failed.exc_value
    error = None if value is None else (failed.exc_type, value, failed.exc_traceback)
    logger.error("%s: %r", what, failed.object, exc_info=error)
