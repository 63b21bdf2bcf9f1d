"""jq filters in configs: checked with `check` when the config is read, run with ``await run(…)`` in a hook."""

from oto_trio.jq import JqBoundError, JqBusyError, JqError, bounds, check, run

__all__ = ["JqBoundError", "JqBusyError", "JqError", "bounds", "check", "run"]
