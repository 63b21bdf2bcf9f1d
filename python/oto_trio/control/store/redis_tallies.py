"""Counters in the Redis store: a hash for each, ``tally:COUNTER``, with its parts.

A value is the count, a space and the Unix time of the part's end. The whole hash expires some time after the last
of its ends; parts that ended before are removed whenever the counter is told. Times are those of whoever tells, so
that the server's clock need not agree with theirs to the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from oto_trio.control.store.redis_scripts import Script
from oto_trio.control.store.tallies import check_tallies

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from oto_trio.control.store.tallies import Tally

__all__ = ["TALLIES", "TALLY", "tally"]

TALLIES: Final = "tally:"
"""Start of the names of the keys."""

AT_ONCE: Final = 500
"""Counters told in one script, which takes the server some milliseconds."""

GRACE_S: Final = 60
"""Seconds that a counter is kept longer than its last part, for writers whose clocks lag."""

TALLY: Final = Script("""
-- ARGV: store id, Unix time, then for each counter: its name, how long to keep it in milliseconds (0 = as it is),
--       how many parts, and of each its name and value
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return {'foreign'} end
-- Each type is looked at before anything is written.
local at = 3
while at <= #ARGV do
  redis.call('HLEN', key('tally:' .. ARGV[at]))
  at = at + 3 + 2 * tonumber(ARGV[at + 2])
end
local now, answer = tonumber(ARGV[2]), {'ok'}
at = 3
while at <= #ARGV do
  local name, parts = key('tally:' .. ARGV[at]), tonumber(ARGV[at + 2])
  for part = at + 3, at + 1 + 2 * parts, 2 do
    redis.call('HSET', name, ARGV[part], ARGV[part + 1])
  end
  if parts > 0 and redis.call('PTTL', name) < tonumber(ARGV[at + 1]) then
    redis.call('PEXPIRE', name, ARGV[at + 1])
  end
  local kept, all = {}, redis.call('HGETALL', name)
  for field = 1, #all, 2 do
    if tonumber(string.match(all[field + 1], ' (.*)$')) > now then
      kept[#kept + 1] = all[field]
      kept[#kept + 1] = string.match(all[field + 1], '^[^ ]*')
    elseif parts > 0 then
      redis.call('HDEL', name, all[field])
    end
  end
  answer[#answer + 1] = kept
  at = at + 3 + 2 * parts
end
return answer
""")
"""Tells parts, and gives for each counter its parts and their counts."""


async def tally(
    run: Callable[..., Awaitable[list[Any]]],
    told: Sequence[Tally],
    asked: Sequence[str],
    now: float,
) -> Mapping[str, Mapping[str, int]]:
    """Do what `Store.tally` does.

    Args:
        run: Runs a script that wants the store's id first.
        told: See there.
        asked: See there.
        now: See there.

    Raises:
        StoreError: The server cannot be asked. Some may have been told.
    """
    counters = check_tallies(told, asked)
    parts: dict[str, list[Tally]] = {}
    for one in told:
        parts.setdefault(one.counter, []).append(one)
    found: dict[str, Mapping[str, int]] = {}
    for start in range(0, len(counters), AT_ONCE):
        some = counters[start : start + AT_ONCE]
        words: list[str | int] = []
        for counter in some:
            mine = parts.get(counter, ())
            end = max((one.ends_at for one in mine), default=now)
            keep_ms = round((max(end - now, 0) + GRACE_S) * 1000) if mine else 0
            words += [counter, keep_ms, len(mine)]
            for one in mine:
                words += [one.part, f"{one.count} {one.ends_at!r}"]
        _, *rows = await run(TALLY, repr(float(now)), *words)
        for counter, row in zip(some, rows, strict=True):
            found[counter] = {row[n].decode(): int(row[n + 1]) for n in range(0, len(row), 2)}
    return found
