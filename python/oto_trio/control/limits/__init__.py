"""The counters of this machine: their table, how they live through a restart, and how gateways count together.

table.py    the table in shared memory, which every worker maps
keeper.py   writes what changed to a store of one gateway, and brings it back at the start
sharing.py  tells a shared store what was counted here, and the table what was counted elsewhere
"""

from oto_trio.control.limits.keeper import LimitsKeeper, load_seed
from oto_trio.control.limits.sharing import LimitsSharer
from oto_trio.control.limits.table import LimitsTable

__all__ = ["LimitsKeeper", "LimitsSharer", "LimitsTable", "load_seed"]
