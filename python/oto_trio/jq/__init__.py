"""jq filters: run in processes of their own, within bounds, and checked when a config is read.

``await jq.run(filter, document)`` within a worker; ``async with jq.serving() as filters`` around anything else.
"""

from oto_trio.jq.bounds import JqBounds
from oto_trio.jq.checking import CHECK_S, check, judge_aside, one_document
from oto_trio.jq.errors import JqBoundError, JqBusyError, JqError
from oto_trio.jq.filters import RUNS, Filters, bounds, is_serving, run, serving
from oto_trio.jq.projecting import projected
from oto_trio.jq.turns import WAIT_S

__all__ = [
    "CHECK_S",
    "RUNS",
    "WAIT_S",
    "Filters",
    "JqBoundError",
    "JqBounds",
    "JqBusyError",
    "JqError",
    "bounds",
    "check",
    "is_serving",
    "judge_aside",
    "one_document",
    "projected",
    "run",
    "serving",
]
