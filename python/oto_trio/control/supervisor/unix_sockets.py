"""Listening Unix sockets: their files, who may open them, and what becomes of one that was left behind."""

import errno
import fcntl
import grp
import os
import pwd
import re
import socket
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["UnixFile", "UnixMode", "listen_on_path", "read_mode", "read_owner"]

BACKLOG: Final = 4096
"""Connections the kernel queues; it caps the number at `net.core.somaxconn`."""

TRIES: Final = 100
"""How often another process that opens a socket in the same folder is waited for, `TRY_S` each."""

TRY_S: Final = 0.01

_MODE: Final = re.compile(r"0?[0-7]{3}")


class UnixMode(msgspec.Struct, frozen=True):
    """Who may open a socket.

    Attributes:
        mode: The permissions of its file.
        user: Its owner; -1 leaves it as it is.
        group: Its group; -1 leaves it as it is.
    """

    mode: int = 0o660
    user: int = -1
    group: int = -1


class UnixFile(msgspec.Struct, frozen=True):
    """The file of a socket that is ours.

    Attributes:
        path: Where it is.
        device: The file system that it is on.
        inode: Its number there: another process may have put its own socket in the place of ours.
    """

    path: str
    device: int
    inode: int

    def remove(self) -> None:
        """Remove the file, unless it is another one by now. Idempotent."""
        with suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                Path(self.path).unlink()


def read_mode(text: str) -> int:
    """Read permissions, such as `0660`.

    Raises:
        ValueError: They are none.
    """
    if _MODE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no mode; write three octal digits, such as '0660'")
    return int(text, 8)


def read_owner(text: str | None) -> tuple[int, int]:
    """Look up `USER`, `USER:GROUP` or `:GROUP`, names or numbers; -1 stands for what is not given.

    Raises:
        ValueError: There is no such user or group.
    """
    user, _, group = (text or "").partition(":")
    return _user(user), _group(group)


def _user(name: str) -> int:
    if not name or name.isdecimal():
        return int(name or -1)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ValueError(f"there is no user {name!r}; write USER, USER:GROUP or :GROUP") from None


def _group(name: str) -> int:
    if not name or name.isdecimal():
        return int(name or -1)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {name!r}; write USER, USER:GROUP or :GROUP") from None


def listen_on_path(path: str, allowed: UnixMode) -> tuple[socket.socket, UnixFile]:
    """Open a non-blocking listening socket at a path.

    A socket that is there already and that nobody answers on, as a gateway that was killed leaves it, is replaced.
    Nobody can connect before the file has its owner and its permissions.

    Args:
        path: The whole path; its folder must exist.
        allowed: Who may open it.

    Raises:
        OSError: It cannot be opened; EADDRINUSE when somebody listens there, or it is no socket.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)  # non-blocking: the engine never waits in a call
        with _alone_in(Path(path).parent):
            _remove_left_behind(path)
            sock.bind(path)
            made = os.lstat(path)
            file = UnixFile(path, made.st_dev, made.st_ino)
            try:
                if (allowed.user, allowed.group) != (-1, -1):
                    os.chown(path, allowed.user, allowed.group)
                Path(path).chmod(allowed.mode)
                sock.listen(BACKLOG)
            except BaseException:
                file.remove()
                raise
    except BaseException:
        sock.close()
        raise
    return sock, file


@contextmanager
def _alone_in(folder: Path) -> Generator[None]:
    """Keep other gateways from opening sockets in a folder: each would take the other's for one left behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for attempt in range(TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == TRIES - 1:
                    raise
                time.sleep(TRY_S)
        yield
    finally:
        os.close(descriptor)


def _remove_left_behind(path: str) -> None:
    """Remove the file of a socket that nobody listens on.

    Raises:
        OSError: EADDRINUSE: somebody does, or it is no socket.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EADDRINUSE, "there is a file of that name that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
        except BlockingIOError:
            pass  # its queue is full: somebody listens
    raise OSError(
        errno.EADDRINUSE, "another process listens there; stop it, or choose another path"
    )
