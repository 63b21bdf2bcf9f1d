"""Secrets in a folder, a file each, as Docker and Kubernetes mount them: ``${vault://files/db/password}``."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from oto_trio.control.vaults.base import MAX_SECRET_BYTES, SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FileProvider", "FileSettings"]

_THREADS: Final = trio.CapacityLimiter(4)
"""Threads that read secrets of files at once."""


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instance of type ``file``, as the settings have it. Otoroshi has no such type."""

    root: str


class FileProvider:
    """Reads files in a folder, none outside of it. One line feed at the end belongs to no secret.

    Args:
        settings: Its settings.
    """

    is_near = True

    def __init__(self, settings: FileSettings) -> None:
        self._root = Path(settings.root)

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read one file; see `SecretProvider.read`. No options."""
        del options
        if not path:
            raise SecretError("bad-secret-path", "name a file after the vault")
        return await trio.to_thread.run_sync(
            self._read, path, limiter=_THREADS, abandon_on_cancel=True
        )

    def _read(self, path: Sequence[str]) -> str:
        try:
            root = self._root.resolve(strict=True)
        except (OSError, ValueError):
            raise SecretError(
                "secret-read-error", "its folder is not there", is_down=True
            ) from None
        try:
            # Kubernetes mounts links to files beside them: links are followed as long as they stay inside.
            file = root.joinpath(*path).resolve(strict=True)
            if not file.is_relative_to(root):
                raise SecretError("bad-secret-path", "the file is outside of the folder")
            text = _bounded(file)
        except PermissionError:
            raise SecretError("secret-read-forbidden", "the file may not be read") from None
        except (OSError, ValueError, RuntimeError):
            raise SecretError("secret-not-found", "there is no such file") from None
        return text.removesuffix("\n").removesuffix("\r")


def _bounded(file: Path) -> str:
    """Read a regular file of no more than `MAX_SECRET_BYTES`.

    Raises:
        OSError: It cannot be read, or is no regular file.
        SecretError: It is too long, or no text.
    """
    # A pipe must not keep the thread waiting for its writer.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("no regular file")
        data = stream.read(MAX_SECRET_BYTES + 2)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SecretError("secret-read-error", "the file is no UTF-8 text") from None
