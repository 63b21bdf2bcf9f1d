"""Where the state of a store in memory is kept: what every such place does, and a file.

Theory of operation
-------------------
A state is read once and written whole, again and again. A file is replaced, never written into: the new one is
written beside it, synced, renamed over it, and the folder is synced. A crash at any moment leaves the old state or
the new one.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from typing_extensions import override

from oto_trio.control.store.sqlite_file import FileLock
from oto_trio.model.errors import StoreError, StoreFileError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oto_trio.control.store.state_url import FileUrl

__all__ = ["MOST_STATE_BYTES", "FilePlace", "StatePlace"]

MOST_STATE_BYTES: Final = 2**30
"""A larger state is not read."""


class StatePlace(ABC):
    """Where a state is kept. Used by one task at a time."""

    def __init__(self, shown: str, every_s: float) -> None:
        self.shown = shown
        """Where it is, without secrets."""
        self.every_s = every_s
        """Time between two saves."""

    @abstractmethod
    async def load(self) -> bytes | None:
        """Read the state; None when there is none yet.

        Raises:
            StoreError: It cannot be read; the message says why and what to do.
        """

    @abstractmethod
    async def save(self, pieces: Iterable[bytes]) -> None:
        """Write the state in the place of the older one, whole or not at all.

        Raises:
            StoreError: It cannot be written.

        Cancellation: the state may or may not be written.
        """

    async def aclose(self) -> None:
        """Give up what is held."""
        await trio.lowlevel.checkpoint()


class FilePlace(StatePlace):
    """A file, which one gateway at a time may use."""

    def __init__(self, url: FileUrl) -> None:
        super().__init__(url.shown, url.every_s)
        self._path = Path(url.path)
        self._new = self._path.with_name(self._path.name + ".new")
        self._lock: FileLock | None = None
        self._thread = trio.CapacityLimiter(1)

    @override
    async def load(self) -> bytes | None:
        return await trio.to_thread.run_sync(
            self._load, limiter=self._thread, thread_name="oto-trio state file"
        )

    def _load(self) -> bytes | None:
        self._lock = FileLock(self._path, "another file in `store`")
        try:
            if self._path.stat().st_size > MOST_STATE_BYTES:
                raise StoreFileError(
                    f"{self._path} is larger than {MOST_STATE_BYTES} bytes; use a store on disk"
                )
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error

    @override
    async def save(self, pieces: Iterable[bytes]) -> None:
        await trio.to_thread.run_sync(
            self._save, pieces, limiter=self._thread, thread_name="oto-trio state file"
        )

    def _save(self, pieces: Iterable[bytes]) -> None:
        try:
            self._replace(pieces)
        except OSError as error:
            with suppress(OSError):
                self._new.unlink(missing_ok=True)
            raise self._unusable(error) from error

    def _replace(self, pieces: Iterable[bytes]) -> None:
        # Entities hold secrets: the file is private before its first byte is written.
        self._new.unlink(missing_ok=True)
        descriptor = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(descriptor)
        self._new.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _unusable(self, error: OSError) -> StoreError:
        """Say in our words what the system says."""
        if error.errno in {28, 122}:  # ENOSPC, EDQUOT
            return StoreFullError(f"the disk that holds {self._path} is full; free some space")
        return StoreFileError(
            f"{self._path} cannot be used ({error.strerror}); make the file and its folder readable and "
            "writable for the user that runs oto-trio, or name another file in `store`"
        )

    @override
    async def aclose(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
        await super().aclose()
