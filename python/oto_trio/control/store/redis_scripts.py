"""What the Redis store does inside the server: one Lua script for each step that must be whole.

Keys, all of them below ``{prefix}`` (the braces keep them together, as a cluster would want it):

``facts``
    A hash: ``id`` of the store, made once; ``revision``; ``schema``; ``floor``, the revision up to which
    removals have been forgotten.
``docs:KIND``
    A hash of the documents by id; a value is the revision, a line feed and the JSON text.
``ids:KIND``
    A sorted set of the ids, all with score 0: Redis sorts them by bytes, which for UTF-8 is the order of
    code points.
``log``
    A sorted set with one member for each document that is or was there, its score the revision that last
    changed it. What happened after a revision is a range of it, already reduced to the latest state.
``gone``
    The members of ``log`` whose document was removed, so that the oldest can be forgotten.
``news``
    A short stream with one entry for each revision, which wakes readers that wait for it. It carries the
    mark of the writer, by which a writer whose connection broke finds out what became of its writes.
``revisions``, ``past:REVISION``
    The history: a hash of what is known of each revision, and for each revision a hash of what the documents
    it changed were before: the value as it was in ``docs:KIND``, or, when there was none, the revision that
    removed it and a line feed. So each version names the revision that wrote it, and leads to the one
    before. A removal that was forgotten in ``log`` is told as minus the floor of that time. ``oldest`` among
    the facts is the first revision that is kept.
``blobs``, ``blob-names``, ``blob-ends``
    The blobs, their names in order, and when they end.
``tally:COUNTER``
    Counters: see `redis_tallies`.

A script runs alone, and its effects reach the append-only file as one MULTI/EXEC: a crash keeps all of them
or none. Every check stands before the first write, so none is ever half done.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = [
    "BLOBS_LOAD",
    "BLOBS_SAVE",
    "CHANGES",
    "OPEN",
    "PAGE",
    "REVISIONS",
    "SCHEMA",
    "SOUGHT",
    "STATES",
    "TOUCHED",
    "TRANSACT",
    "Script",
]

SCHEMA: Final = 2
"""Layout of the keys that this version writes, and the newest it reads; older ones are migrated to it."""


class Script:
    """A Lua script and the digest that the server knows it by.

    Args:
        text: The script. ``KEYS[1]`` is the hash of facts, whose name ends in ``facts``.
    """

    def __init__(self, text: str) -> None:
        self.text = _BASE + text
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


_BASE: Final = """
local base = string.sub(KEYS[1], 1, -6)
local function key(name) return base .. name end
local function whole(number) return string.format('%.0f', number) end
"""

OPEN: Final = Script("""
-- ARGV: an id for the store if there is none yet, the schema
redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
redis.call('HSETNX', KEYS[1], 'revision', '0')
redis.call('HSETNX', KEYS[1], 'floor', '0')
redis.call('HSETNX', KEYS[1], 'schema', ARGV[2])
if tonumber(redis.call('HGET', KEYS[1], 'schema')) < tonumber(ARGV[2]) then
  -- Of version 1, which may have no history: the fact that says where it begins.
  local revision = tonumber(redis.call('HGET', KEYS[1], 'revision'))
  redis.call('HSETNX', KEYS[1], 'oldest', whole(revision + 1))
  redis.call('HSET', KEYS[1], 'schema', ARGV[2])
end
return redis.call('HMGET', KEYS[1], 'id', 'revision', 'schema')
""")
"""Makes an empty store, or finds the one that is there, and migrates an older one. Gives its id, revision and schema."""

TRANSACT: Final = Script("""
-- ARGV: store id, revision known, mark, '1' when tried again, entries of news kept, removals kept,
--       the history in MessagePack (Unix time, who and why, revisions kept, time up to which they are
--       forgotten, bytes kept, bytes that a change counts),
--       in MessagePack, which is quicker than so many arguments: the revision that must be the latest or
--       '', and the writes, each of them 'p' or 'd', kind, id, expectation ('', 'a', 'p' or a revision),
--       behind them, as 's', what is not written and must be as it was seen; then the document of each write
local facts = redis.call('HMGET', KEYS[1], 'id', 'revision', 'oldest', 'floor')
if facts[1] ~= ARGV[1] then return {'foreign'} end
local before = tonumber(facts[2])
local known = tonumber(ARGV[2])
if before < known then return {'back', before} end
if ARGV[4] == '1' and before > known then
  local entries = redis.call('XRANGE', key('news'), whole(known + 1) .. '-0', '+')
  for _, entry in ipairs(entries) do
    if entry[2][2] == ARGV[3] then
      return {'again', tonumber(string.match(entry[1], '^%d+'))}
    end
  end
  if #entries < before - known then return {'unsure'} end
end
local wanted = {}
local at_time, origin, most, too_old, most_bytes, each = unpack(cmsgpack.unpack(ARGV[7]))
local latest, writes = unpack(cmsgpack.unpack(ARGV[8]))
if latest ~= '' and tonumber(latest) ~= before then return {'moved', before} end
for at, write in ipairs(writes) do
  local docs = key('docs:' .. write[2])
  local id, expect = write[3], write[4]
  local is_there = redis.call('HEXISTS', docs, id) == 1
  if expect ~= '' then
    local found = false
    if is_there then
      found = redis.call('ZSCORE', key('log'), write[2] .. '\\n' .. id)
    end
    local is_met
    if expect == 'a' then is_met = not is_there
    elseif expect == 'p' then is_met = is_there
    else is_met = is_there and tonumber(found) == tonumber(expect) end
    if not is_met then
      return {'conflict', at - 1, found and tonumber(found) or 0}
    end
  end
  if write[1] == 'p' or write[1] == 'd' and is_there then wanted[#wanted + 1] = at end
end
local answer = {'ok', before, before}
if #wanted == 0 then return answer end
local revision = whole(before + 1)
-- First, because it is what a server without memory left refuses.
redis.call('XADD', key('news'), 'MAXLEN', '~', ARGV[5], revision .. '-0', 'mark', ARGV[3])
redis.call('HSET', KEYS[1], 'revision', revision)
answer[3] = before + 1
local past, size = key('past:' .. revision), 0
for _, at in ipairs(wanted) do
  local kind, id = writes[at][2], writes[at][3]
  local member = kind .. '\\n' .. id
  local old = redis.call('HGET', key('docs:' .. kind), id)
  if not old then
    old = (redis.call('ZSCORE', key('log'), member) or '-' .. facts[4]) .. '\\n'
  else
    size = size + #old - string.find(old, '\\n', 1, true)
  end
  size = size + each
  redis.call('HSET', past, member, old)
  if writes[at][1] == 'p' then
    redis.call('HSET', key('docs:' .. kind), id, revision .. '\\n' .. ARGV[8 + at])
    redis.call('ZADD', key('ids:' .. kind), 0, id)
    redis.call('ZREM', key('gone'), member)
  else
    redis.call('HDEL', key('docs:' .. kind), id)
    redis.call('ZREM', key('ids:' .. kind), id)
    redis.call('ZADD', key('gone'), revision, member)
  end
  redis.call('ZADD', key('log'), revision, member)
  answer[#answer + 1] = at - 1
end
local too_many = redis.call('ZCARD', key('gone')) - tonumber(ARGV[6])
if too_many > 0 then
  local oldest = redis.call('ZPOPMIN', key('gone'), too_many)
  for n = 1, #oldest, 2 do redis.call('ZREM', key('log'), oldest[n]) end
  redis.call('HSET', KEYS[1], 'floor', oldest[#oldest])
end
local oldest, total = tonumber(facts[3] or before + 1), size
local last = redis.call('HGET', key('revisions'), whole(before))
if last then
  total = total + tonumber(string.match(last, '^%S+ %S+ (%d+)'))
elseif oldest <= before then
  -- A version that keeps no history wrote to the server: what is older leads nowhere.
  redis.call('DEL', key('revisions'))
  for n = oldest, before do redis.call('UNLINK', key('past:' .. whole(n))) end
  oldest = before + 1
end
redis.call('HSET', key('revisions'), revision,
  at_time .. ' ' .. #wanted .. ' ' .. whole(total) .. ' ' .. whole(size) .. ' ' .. origin)
for _ = 1, 64 do
  local row = oldest <= before and redis.call('HGET', key('revisions'), whole(oldest))
  if not row then break end
  local then_at, then_total, then_size = string.match(row, '^(%S+) %d+ (%d+) (%d+)')
  if before + 1 - oldest < most and tonumber(then_at) >= too_old
      and total - (tonumber(then_total) - tonumber(then_size)) <= most_bytes then
    break
  end
  redis.call('HDEL', key('revisions'), whole(oldest))
  redis.call('UNLINK', key('past:' .. whole(oldest)))
  oldest = oldest + 1
end
redis.call('HSET', KEYS[1], 'oldest', whole(oldest))
return answer
""")
"""Checks expectations, then makes the writes. Gives ``ok``, the revision before and after, and the numbers
of the writes that changed something; or ``conflict``, the number of the write and the revision found (0 =
nothing); or ``moved`` and the revision before; or why there is none of these."""

CHANGES: Final = Script("""
-- ARGV: store id, revision known, changes read at once, bytes given at once
local facts = redis.call('HMGET', KEYS[1], 'id', 'revision', 'floor')
if facts[1] ~= ARGV[1] then return {'foreign'} end
local revision, since = tonumber(facts[2]), tonumber(ARGV[2])
if revision < since then return {'back', revision} end
if since < tonumber(facts[3]) then return {'gap', tonumber(facts[3])} end
local limit, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local rows = redis.call('ZRANGEBYSCORE', key('log'), '(' .. whole(since), '+inf',
  'WITHSCORES', 'LIMIT', 0, limit)
if #rows == limit * 2 then
  -- The last revision may go on behind the limit: all of it, or none of it.
  local last = rows[#rows]
  while #rows > 0 and rows[#rows] == last do
    rows[#rows] = nil
    rows[#rows] = nil
  end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('log'), last, last)) do
    rows[#rows + 1] = member
    rows[#rows + 1] = last
  end
  revision = tonumber(last)
end
local answer, size, previous = {'ok', revision, tonumber(facts[2])}, 0, false
for n = 1, #rows, 2 do
  if size > bytes and rows[n + 1] ~= previous then
    answer[2] = tonumber(previous)
    break
  end
  previous = rows[n + 1]
  local kind, id = string.match(rows[n], '^([^\\n]*)\\n(.*)$')
  local value = redis.call('HGET', key('docs:' .. kind), id) or ''
  size = size + #value
  answer[#answer + 1] = rows[n]
  answer[#answer + 1] = rows[n + 1]
  answer[#answer + 1] = value
end
return answer
""")
"""Gives ``ok``, the revision up to which this tells all, the latest one, and for each document changed its
kind and id, revision and value (empty when it was removed)."""

PAGE: Final = Script("""
-- ARGV: kind, id to start after, documents and bytes given at most
local ids = redis.call('ZRANGEBYLEX', key('ids:' .. ARGV[1]),
  ARGV[2] == '' and '-' or '(' .. ARGV[2], '+', 'LIMIT', 0, tonumber(ARGV[3]))
local answer, size = {#ids}, 0
for _, id in ipairs(ids) do
  if size > tonumber(ARGV[4]) then break end
  local value = redis.call('HGET', key('docs:' .. ARGV[1]), id)
  size = size + #value
  answer[#answer + 1] = id
  answer[#answer + 1] = value
end
return answer
""")
"""Gives how many ids were found, then ids and values; fewer than found when they are large."""

REVISIONS: Final = Script("""
-- ARGV: store id, newest revision wanted or '', revisions given at most
local facts = redis.call('HMGET', KEYS[1], 'id', 'revision', 'oldest')
if facts[1] ~= ARGV[1] then return {'foreign'} end
local latest, oldest = tonumber(facts[2]), tonumber(facts[3] or facts[2] + 1)
if redis.call('HEXISTS', key('revisions'), facts[2]) == 0 then oldest = latest + 1 end
local answer = {'ok', latest, oldest}
local newest = ARGV[2] == '' and latest or math.min(tonumber(ARGV[2]), latest)
for n = newest, math.max(oldest, newest - tonumber(ARGV[3]) + 1), -1 do
  answer[#answer + 1] = n
  answer[#answer + 1] = redis.call('HGET', key('revisions'), whole(n))
end
return answer
""")
"""Gives ``ok``, the latest revision, the oldest that is kept (the latest plus one when none is), and for each
revision its number and what is known of it: time, changes, bytes so far, bytes, who and why."""

SOUGHT: Final = Script("""
-- ARGV: store id, newest revision looked at or '', revisions and changed documents looked at at most,
--       a kind or '' for any, an id or '' for any of that kind
local facts = redis.call('HMGET', KEYS[1], 'id', 'revision', 'oldest')
if facts[1] ~= ARGV[1] then return {'foreign'} end
local latest, oldest = tonumber(facts[2]), tonumber(facts[3] or facts[2] + 1)
if redis.call('HEXISTS', key('revisions'), facts[2]) == 0 then oldest = latest + 1 end
local newest = ARGV[2] == '' and latest or math.min(tonumber(ARGV[2]), latest)
local last = math.max(oldest, newest - tonumber(ARGV[3]) + 1)
local answer, seen, start = {0}, 0, ARGV[5] .. '\\n'
for n = newest, last, -1 do
  local is_sought = ARGV[5] == ''
  if ARGV[6] ~= '' then
    is_sought = redis.call('HEXISTS', key('past:' .. whole(n)), start .. ARGV[6]) == 1
  elseif not is_sought then
    for _, member in ipairs(redis.call('HKEYS', key('past:' .. whole(n)))) do
      seen = seen + 1
      if string.sub(member, 1, #start) == start then
        is_sought = true
        break
      end
    end
  end
  if is_sought then
    answer[#answer + 1] = n
    answer[#answer + 1] = redis.call('HGET', key('revisions'), whole(n))
  end
  if seen > tonumber(ARGV[4]) then last = n; break end
end
if newest >= oldest and last > oldest then answer[1] = last end
return answer
""")
"""Gives the oldest revision that was looked at, or 0 when there is nothing older, and for each revision that
wrote or removed such a document its number and what is known of it, as `REVISIONS` does."""

TOUCHED: Final = Script("""
-- ARGV: store id, first revision, last revision, documents given at least
local facts = redis.call('HMGET', KEYS[1], 'id', 'oldest')
if facts[1] ~= ARGV[1] then return {'foreign'} end
local first, last = tonumber(ARGV[2]), tonumber(ARGV[3])
if first < tonumber(facts[2] or first + 1) then return {'forgotten'} end
local answer, seen = {'ok', last}, {}
for n = first, last do
  for _, member in ipairs(redis.call('HKEYS', key('past:' .. whole(n)))) do
    if not seen[member] then
      seen[member] = true
      answer[#answer + 1] = member
    end
  end
  if #answer > tonumber(ARGV[4]) then
    answer[2] = n
    break
  end
end
return answer
""")
"""Gives ``ok``, the revision up to which this tells all, and the kinds and ids of what was changed."""

STATES: Final = Script("""
-- ARGV: store id, older revision, newer revision, bytes given at most, then kinds and ids
local facts = redis.call('HMGET', KEYS[1], 'id', 'oldest', 'floor')
if facts[1] ~= ARGV[1] then return {'foreign'} end
local oldest = tonumber(facts[2] or '0')
if tonumber(ARGV[2]) < oldest - 1 then return {'forgotten'} end
-- The latest revision up to one that touched a document, of which it is known that it did; or nothing.
local function touched(member, from, down_to)
  for n = from, math.max(down_to, oldest), -1 do
    if redis.call('HEXISTS', key('past:' .. whole(n)), member) == 1 then return n end
  end
end
-- Goes from a version of a document back to the one that was there at a revision.
local function back(member, value, at)
  while value do
    local written = tonumber(string.match(value, '^(%-?%d+)\\n'))
    if string.sub(value, 1, 1) == '-' then
      -- It was removed up to this revision, or never there.
      written = touched(member, -written, at + 1) or 0
    end
    if written <= at then return value end
    value = redis.call('HGET', key('past:' .. whole(written)), member)
  end
end
local since, till = tonumber(ARGV[2]), tonumber(ARGV[3])
local answer, size = {'ok'}, 0
for n = 5, #ARGV do
  if size > tonumber(ARGV[4]) then break end
  local member = ARGV[n]
  local kind, id = string.match(member, '^([^\\n]*)\\n(.*)$')
  local value = redis.call('HGET', key('docs:' .. kind), id)
  if not value then
    value = (redis.call('ZSCORE', key('log'), member) or '-' .. facts[3]) .. '\\n'
  end
  local after = back(member, value, till)
  local before = after and back(member, after, since)
  if not before then return {'forgotten'} end
  local revision = string.match(after, '^%d+')
  answer[#answer + 1] = before
  answer[#answer + 1] = after
  answer[#answer + 1] = tonumber(revision or touched(member, till, since + 1))
  size = size + #before + #after
end
return answer
""")
"""Gives ``ok``, and for each document its value at the older and at the newer revision, and the last revision
between them that changed it; for fewer documents than were asked for when they are large."""

BLOBS_SAVE: Final = Script("""
-- ARGV: store id, expired blobs dropped at once, then for each blob: name, end as text or '', value
local facts = redis.call('HGET', KEYS[1], 'id')
if facts ~= ARGV[1] then return {'foreign'} end
local now = redis.call('TIME')
redis.call('HLEN', key('blobs'))
for at = 3, #ARGV, 3 do
  redis.call('HSET', key('blobs'), ARGV[at], ARGV[at + 1] .. '\\n' .. ARGV[at + 2])
  redis.call('ZADD', key('blob-names'), 0, ARGV[at])
  if ARGV[at + 1] == '' then
    redis.call('ZREM', key('blob-ends'), ARGV[at])
  else
    redis.call('ZADD', key('blob-ends'), ARGV[at + 1], ARGV[at])
  end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', key('blob-ends'), '-inf', now[1],
    'LIMIT', 0, tonumber(ARGV[2]))) do
  redis.call('HDEL', key('blobs'), name)
  redis.call('ZREM', key('blob-names'), name)
  redis.call('ZREM', key('blob-ends'), name)
end
return {'ok'}
""")
"""Writes blobs and drops some that expired."""

BLOBS_LOAD: Final = Script("""
-- ARGV: start of the names, name to start after, blobs and bytes given at most
local from = ARGV[2] == '' and '[' .. ARGV[1] or '(' .. ARGV[2]
if from == '[' then from = '-' end
local till = ARGV[1] == '' and '+' or '[' .. ARGV[1] .. '\\255'
local now = tonumber(redis.call('TIME')[1])
local names = redis.call('ZRANGEBYLEX', key('blob-names'), from, till, 'LIMIT', 0, tonumber(ARGV[3]))
local answer, size, last = {#names < tonumber(ARGV[3]) and 1 or 0, ''}, 0, ''
for _, name in ipairs(names) do
  if size > tonumber(ARGV[4]) then
    answer[1] = 0
    break
  end
  answer[2] = name
  local ends = redis.call('ZSCORE', key('blob-ends'), name)
  if not ends or tonumber(ends) > now then
    local value = redis.call('HGET', key('blobs'), name)
    size = size + #value
    answer[#answer + 1] = name
    answer[#answer + 1] = value
  end
end
return answer
""")
"""Gives 1 when these are the last, the last name looked at, then names and values."""
