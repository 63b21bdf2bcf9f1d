"""The key that guards the admin API: made at the first start, kept in a private file.

In production the client id and the secret are random, written once to ``admin-credentials.json`` in the
data folder (mode 0600) and read again at later starts. ``--dev`` uses Otoroshi's well-known development
key, which every tool of its world has as default, and is only ever served on loopback.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

import msgspec
from typing_extensions import override

from oto_trio.model.errors import CredentialsError

__all__ = [
    "CREDENTIALS_FILE",
    "DEV_CREDENTIALS",
    "AdminCredentials",
    "StoredCredentials",
    "load_or_create_credentials",
]

CREDENTIALS_FILE: Final = "admin-credentials.json"
"""Name of the file in the data folder."""

_LARGEST_FILE: Final = 4096


class AdminCredentials(msgspec.Struct, frozen=True):
    """An API key of the admin API."""

    client_id: str
    client_secret: str

    @override
    def __repr__(self) -> str:
        """Show the id only, so that a log line never holds the secret."""
        return f"AdminCredentials(client_id={self.client_id!r}, client_secret=…)"


class StoredCredentials(msgspec.Struct, frozen=True):
    """Credentials and where they are kept."""

    credentials: AdminCredentials
    path: Path
    is_new: bool
    """Whether they were made just now; then the caller shows them, once."""


DEV_CREDENTIALS: Final = AdminCredentials(
    client_id="admin-api-apikey-id",
    client_secret="admin-api-apikey-secret",  # noqa: S106 (well known, for development)
)
"""The key that Otoroshi's development set-up, and so otoroshictl and others, use by default."""


def load_or_create_credentials(data_dir: Path) -> StoredCredentials:
    """Read the admin credentials of a data folder, or make them.

    Blocks for a few file operations: call it at start, or in a thread.

    Args:
        data_dir: The data folder; made with mode 0700 when missing.

    Raises:
        CredentialsError: The file is readable by others, damaged, or cannot be read or written; the
            message names it and says what to do.
    """
    path = data_dir / CREDENTIALS_FILE
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return StoredCredentials(_read(path), path, is_new=False)
        except FileNotFoundError:
            return _create(path)
    except OSError as error:
        raise CredentialsError(
            f"{path} cannot be used ({error.strerror}); make it readable and its folder writable "
            "for the user that runs oto-trio, or choose another --data folder"
        ) from error


def _read(path: Path) -> AdminCredentials:
    """Read and check the file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if os.fstat(fd).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CredentialsError(
                f"{path} can be read by other users; run: chmod 600 {path} (and, if others may "
                "have read it, remove it to get new credentials at the next start)"
            )
        text = file.read(_LARGEST_FILE)
    try:
        credentials = msgspec.json.decode(text, type=AdminCredentials)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise CredentialsError(
            f'{path} is damaged ({error}); write {{"client_id": …, "client_secret": …}} into '
            "it, or remove it to get new credentials at the next start"
        ) from error
    if not credentials.client_id or ":" in credentials.client_id or not credentials.client_secret:
        raise CredentialsError(
            f"{path} has an empty client_id or client_secret, or a ':' in the client_id; "
            "remove it to get new credentials at the next start"
        )
    return credentials


def _create(path: Path) -> StoredCredentials:
    """Make credentials and keep them; whoever else does so at the same moment wins or loses whole."""
    credentials = AdminCredentials(
        client_id=f"admin-{secrets.token_hex(8)}", client_secret=secrets.token_urlsafe(48)
    )
    text = msgspec.json.format(msgspec.json.encode(credentials), indent=2) + b"\n"
    # Written aside and linked, so that a crash leaves no half-written file under the real name.
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        try:
            path.hardlink_to(aside)
        except FileExistsError:
            return StoredCredentials(_read(path), path, is_new=False)
    finally:
        aside.unlink(missing_ok=True)
    return StoredCredentials(credentials, path, is_new=True)
