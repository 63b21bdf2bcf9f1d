"""The first administrator of a new installation, and how its password gets to whoever installs it.

Without a password in the settings one is made up. It is shown once, when the gateway is ready; or, when the
settings say so, it is written to a file that only the gateway's user can read and that the next start removes.
"""

from __future__ import annotations

import logging
import os
import secrets
import string
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from oto_trio.control.admin_api.admins.passwords import hash_password
from oto_trio.model.errors import CredentialsError
from oto_trio.model.simple_admin import SimpleAdmin

if TYPE_CHECKING:
    from oto_trio.control.settings import Settings

__all__ = ["FirstAdmin", "ShownAdmin"]

logger = logging.getLogger(__name__)

PASSWORD_LENGTH: Final = 32
_SIGNS: Final = string.ascii_letters + string.digits


class ShownAdmin(msgspec.Struct, frozen=True):
    """What is told of the first administrator, once."""

    login: str
    password: str | None
    """None when it was given, hidden, or written to a file."""
    file: str | None
    """Where it was written."""


class FirstAdmin:
    """Makes the first administrator.

    Args:
        settings: Its name, and what becomes of its password.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = Path(settings.initial_admin_password_file)
        self._password = ""

    async def make(self) -> SimpleAdmin:
        """Make the entity, a super admin, and write the file when there is to be one.

        Raises:
            CredentialsError: The file cannot be written; nobody would learn the password.
        """
        settings = self._settings
        given = settings.initial_admin_password
        self._password = given or "".join(secrets.choice(_SIGNS) for _ in range(PASSWORD_LENGTH))
        if settings.write_initial_admin_password_to_file and not given:
            await trio.to_thread.run_sync(_write, self._file, self._password)
        return SimpleAdmin(
            username=settings.initial_admin_login,
            password=await hash_password(self._password),
            label="Otoroshi Admin",
        )

    async def told(self, *, is_kept: bool) -> ShownAdmin | None:
        """Return what to show of the administrator that was made.

        Args:
            is_kept: Whether the store took it. When not, the file of this or an earlier start is removed.
        """
        settings = self._settings
        is_written = settings.write_initial_admin_password_to_file
        if not is_kept or not self._password:
            if is_written:
                await trio.to_thread.run_sync(_remove, self._file)
            return None
        is_shown = not (
            is_written or settings.initial_admin_password or settings.hide_initial_admin_password
        )
        in_file = is_written and not settings.initial_admin_password
        return ShownAdmin(
            settings.initial_admin_login,
            self._password if is_shown else None,
            str(self._file) if in_file else None,
        )


def _write(file: Path, password: str) -> None:
    """Write the password, readable by the gateway's user only."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as text:
            text.write(password)
    except OSError as error:
        raise CredentialsError(
            f"{file} cannot be written ({error.strerror}), so nobody would learn the password of the first "
            "administrator; set initial_admin_password_file to a place that can, or give "
            "initial_admin_password"
        ) from error


def _remove(file: Path) -> None:
    """Remove the file of an earlier start."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s is still there: %s; remove it", file, error.strerror)
