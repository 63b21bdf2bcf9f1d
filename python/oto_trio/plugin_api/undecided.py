"""What a hook does for a check that lacks a key set: its native step's, or its own by the engine.

The check itself is the native step's, before and after: there is one place that decides about tokens.
Tests compare what it says of a token with PyJWT (``tests/conformance/test_tokens.py``).
"""

from collections.abc import Callable, Sequence
from typing import Final

import trio

from oto_trio.identity.key_sets import fetcher
from oto_trio.plugin_api.answers import Answer, Refusal, Response
from oto_trio.plugin_api.exchange import Exchange

__all__ = ["MAX_KEY_SETS", "bring_key_sets", "decide_with_key_sets", "settle"]

MAX_KEY_SETS: Final = 8
"""Most times that sets are brought for one decision: a plugin with several verifiers may need several."""

_UNDECIDED: Final = Refusal(500, "this request could not be checked", "errors.undecided")


async def decide_with_key_sets(exchange: Exchange) -> Answer:
    """Bring what the native step of this hook lacks, and let it decide.

    Cancellation: nothing is left half done.
    """
    for _ in range(MAX_KEY_SETS):
        wanted = exchange.wanted_key_set
        if wanted is not None:
            await fetcher().bring(exchange, wanted)
        decision = exchange.decide(trio.current_time())
        if decision is True:
            return None
        if decision is not False:
            return Response(*decision)
    return _UNDECIDED


async def bring_key_sets(exchange: Exchange, wanted: Callable[[], Sequence[str]]) -> None:
    """Bring the key sets that a check needs which the hook itself makes.

    Args:
        exchange: Who waits.
        wanted: Tells which are lacking now, each as settings for `Exchange.put_key_set`. What was asked
            for a moment ago, with success or without, must not be named again.

    Cancellation: the calls end; others who wait for them make their own.
    """
    # Once, unless somebody else who was fetching a set gave up: then it is this one's turn.
    for _ in range(MAX_KEY_SETS):
        lacking = wanted()
        if not lacking:
            return
        async with trio.open_nursery() as nursery:
            for settings in lacking:
                nursery.start_soon(fetcher().bring, exchange, settings)


def settle(exchange: Exchange) -> Answer:
    """Let the native step of this hook decide, which lacks nothing."""
    decision = exchange.decide(0.0)
    if decision is True:
        return None
    return _UNDECIDED if decision is False else Response(*decision)
