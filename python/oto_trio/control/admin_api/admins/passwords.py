"""Passwords of administrators: BCrypt hashes, made and checked in threads.

BCrypt looks at 72 bytes and no more. A new password that is longer is refused, for the rest of it would count
for nothing; a hash that others made of one is checked as they did.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import trio

from oto_trio.control.admin_api.refusals import bad_request
from oto_trio.model.simple_admin import is_password_hash

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONGEST_BYTES", "check_password", "hash_password", "password_problem"]

LONGEST_BYTES: Final = 72
"""Bytes of a password that BCrypt looks at."""

MOST_THREADS: Final = 2
"""Hashes under way at once; one takes some 50 ms of a core."""

COST: Final = 10
"""Each one more doubles the time; 10 is what Otoroshi's hashes have."""

_NOBODYS_HASH: Final = "$2b$10$rw2NYQHPET9GP8vXFqFh4u5ESlT7sbd4lP5Mte713PcDUnbEMU/pm"
"""What the password of an unknown user is checked against, so that the answer takes as long."""

P = ParamSpec("P")
T = TypeVar("T")

_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("admin passwords")


def password_problem(password: str) -> str | None:
    """Say why a text cannot become somebody's password; None when it can."""
    if not password:
        return "the password is empty"
    if "\0" in password:
        return "the password has a NUL in it"
    length = len(password.encode("utf-8", "surrogatepass"))
    if length > LONGEST_BYTES:
        return f"the password has {length} bytes; {LONGEST_BYTES} is the most that count"
    return None


async def hash_password(password: str) -> str:
    """Make the BCrypt hash of a new password.

    Raises:
        ApiError: It cannot be one.

    Cancellation: a checkpoint before the thread starts; once it runs, it is waited for.
    """
    problem = password_problem(password)
    if problem is not None:
        raise bad_request(problem)
    return await _in_thread(_hash, password.encode("utf-8", "surrogatepass"))


async def check_password(password: str, hashed: str | None) -> bool:
    """Tell whether a password is the one that a hash was made of.

    Takes as long when there is no hash: None is somebody who is not known. What is stored and no hash of a
    cost that is allowed counts like none: a thread that computes one cannot be stopped.

    Cancellation: a checkpoint before the thread starts; once it runs, it is waited for.
    """
    given = password.encode("utf-8", "surrogatepass")[:LONGEST_BYTES]
    is_usable = hashed is not None and is_password_hash(hashed)
    matches = await _in_thread(_check, given, hashed if is_usable and hashed else _NOBODYS_HASH)
    return matches and is_usable


async def _in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(MOST_THREADS)
        _limiter.set(limiter)
    return await trio.to_thread.run_sync(partial(function, *args, **kwargs), limiter=limiter)


def _hash(password: bytes) -> str:
    import bcrypt  # noqa: PLC0415 (a gateway whose administrators never log in needs none)

    return bcrypt.hashpw(password, bcrypt.gensalt(COST)).decode()


def _check(password: bytes, hashed: str) -> bool:
    """Check a hash; one that cannot be read matches nothing."""
    import bcrypt  # noqa: PLC0415 (as above)

    try:
        return bcrypt.checkpw(password, hashed.encode())
    except ValueError:
        return False
