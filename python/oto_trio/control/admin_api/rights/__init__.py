"""Who may do what: callers, tenants, teams and rights, decided in one place.

    request ── guard ── who asks? ── gates ── endpoint ── ScopedStore ── the store

`guard` lets nobody in whom `callers` does not know, and `ScopedStore` is the only store that endpoints get.
"""

from oto_trio.control.admin_api.rights.caller import (
    Caller,
    acting_as,
    current_caller,
    denied,
    placed,
    required_caller,
)
from oto_trio.control.admin_api.rights.callers import Callers
from oto_trio.control.admin_api.rights.decisions import Rights
from oto_trio.control.admin_api.rights.gates import gate_refusal
from oto_trio.control.admin_api.rights.guard import CallerGuard
from oto_trio.control.admin_api.rights.scoped_store import (
    ScopedStore,
    check_writes,
    global_config_of,
    writable,
)

__all__ = [
    "Caller",
    "CallerGuard",
    "Callers",
    "Rights",
    "ScopedStore",
    "acting_as",
    "check_writes",
    "current_caller",
    "denied",
    "gate_refusal",
    "global_config_of",
    "placed",
    "required_caller",
    "writable",
]
