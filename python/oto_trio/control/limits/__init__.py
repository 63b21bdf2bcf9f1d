"""The counters of this machine: their table, and how they live through a restart.

table.py    the table in shared memory, which every worker maps
keeper.py   writes what changed to the store, and brings it back at the start
"""

from oto_trio.control.limits.keeper import LimitsKeeper, load_seed
from oto_trio.control.limits.table import LimitsTable

__all__ = ["LimitsKeeper", "LimitsTable", "load_seed"]
