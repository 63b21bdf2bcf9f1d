"""Keeps telling the other gateways on a shared store that this one is there, so that they leave its admin key alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from oto_trio.control.installation_key import hold_lease
from oto_trio.control.jobs.runner import Job

if TYPE_CHECKING:
    from oto_trio.control.store.base import Store

__all__ = ["key_lease_job"]

EVERY_S: Final = 3600.0
"""Seconds between two times: a lease lasts many of them (`installation_key.LEASE_S`)."""


def key_lease_job(store: Store, node: str) -> Job:
    """Return the job that holds the lease of a gateway; its start has held it already.

    Args:
        store: The shared store.
        node: Tells this gateway from others on it.
    """
    hold = partial(hold_lease, store, node)
    return Job(name="admin key lease", run=hold, every_s=EVERY_S, first_s=EVERY_S)
