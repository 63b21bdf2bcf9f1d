"""The public kit for tests: fakes that keep the promises of the real thing.

* ``oto_trio.testing.exchange`` runs a plugin's hooks without a gateway.
* ``oto_trio.testing.check_store`` tries every rule of the store contract on a driver.
"""

from oto_trio.testing.check_store import OpenStore, check_store
from oto_trio.testing.exchange import (
    FakeExchange,
    FakeHeaders,
    FakeRequest,
    FakeResponseHead,
    call_hook,
    play,
)

__all__ = [
    "FakeExchange",
    "FakeHeaders",
    "FakeRequest",
    "FakeResponseHead",
    "OpenStore",
    "call_hook",
    "check_store",
    "play",
]
