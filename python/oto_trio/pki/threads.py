"""Worker threads for keys and signatures, apart from those of the store.

Making an RSA key takes from a tenth of a second to several seconds of CPU. With Trio's own limiter a
burst of wishes could take all 40 threads and all cores; these have a limiter of their own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_THREADS", "in_pki_thread"]

MOST_THREADS: Final = 2
"""Threads that work on keys at once; more wait for their turn."""

P = ParamSpec("P")
T = TypeVar("T")

_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("oto_trio.pki.limiter")


async def in_pki_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of this room in a thread.

    Cancellation: a checkpoint before the thread starts; once it runs, it is waited for.
    """
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(MOST_THREADS)
        _limiter.set(limiter)
    return await trio.to_thread.run_sync(partial(function, *args, **kwargs), limiter=limiter)
