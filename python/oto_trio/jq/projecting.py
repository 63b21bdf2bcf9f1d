"""Projections whose blueprints have jq filters."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from oto_trio.jq.errors import JqError
from oto_trio.model.projection import project

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oto_trio.model.matching import Json

    Run: TypeAlias = Callable[[str, bytes], Awaitable[list[bytes]]]

__all__ = ["projected"]


async def projected(
    source: Json, blueprint: Json, run: Run, on_fault: Callable[[JqError], object] | None = None
) -> Json:
    """Project a document; see `oto_trio.model.projection.project`.

    The value of a filter is its first output, null without one.

    Args:
        source: The document; it is not changed.
        blueprint: What of it goes on.
        run: Runs a filter; `oto_trio.jq.run`, or that of a `Filters`.
        on_fault: Told of each filter that failed, whose value is null then; without it the first failure is raised.

    Raises:
        JqError: A filter failed.

    Cost: that of two projections, and of each filter after the other.
    """
    wanted: list[tuple[str, Json]] = []
    shown = project(
        source, blueprint, run_filter=lambda text, document: wanted.append((text, document))
    )
    if not wanted:
        return shown
    values: deque[Json] = deque()
    # Most filters look at the same document.
    known: tuple[Json, bytes] = (None, b"null")
    for text, document in wanted:
        if document is not known[0]:
            known = (document, msgspec.json.encode(document))
        try:
            values.append(_first(await run(text, known[1])))
        except JqError as error:
            if on_fault is None:
                raise
            on_fault(error)
            values.append(None)
    return project(source, blueprint, run_filter=lambda _text, _document: values.popleft())


def _first(outputs: list[bytes]) -> Json:
    if not outputs:
        return None
    try:
        found: Json = msgspec.json.decode(outputs[0])
    except RecursionError:
        raise JqError("what the filter made is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError):
        # jq keeps the digits of a number, also of one that is more than a double or a big integer may be.
        raise JqError("what the filter made has a number that is out of range") from None
    return found
