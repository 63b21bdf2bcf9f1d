"""What the history of a store means: which entities changed, which requests go elsewhere, and the way back.

The store keeps the revisions (`oto_trio.control.store.history`); here they are read as configuration.
"""

from oto_trio.control.history.comparing import EntityChange, compare, is_configuration
from oto_trio.control.history.going_back import RollbackPlan, plan_rollback
from oto_trio.control.history.meaning import Meaning, Traffic, compare_traffic
from oto_trio.control.history.tags import TAGS, tag_problem

__all__ = [
    "TAGS",
    "EntityChange",
    "Meaning",
    "RollbackPlan",
    "Traffic",
    "compare",
    "compare_traffic",
    "is_configuration",
    "plan_rollback",
    "tag_problem",
]
