"""Reads the Redis database of an Otoroshi, as lines of its raw dump. Nothing is written there.

Entities are strings under ``<root>:<kind's key>:<id>``; whatever else is below the root, such as counters, sessions
and events, is told by its key only.

Source: entities.md 0.1 (keys), engine_cluster_tunnels.md §3 (lines).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from oto_trio.control.store.redis_line import Line
from oto_trio.control.store.redis_url import DEFAULT_PREFIX, RedisUrlError, read_redis_url
from oto_trio.control.store.redis_whole import keys_below
from oto_trio.control.store.state_lines import ROOT, document_of
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from oto_trio.control.store.redis_url import RedisUrl

__all__ = ["OTOROSHI", "read_otoroshi"]

OTOROSHI: Final = "otoroshi+"
"""What the scheme of such a URL begins with."""

KEYS_AT_ONCE: Final = 500

_VALUES: Final = """
local answer = {}
for _, key in ipairs(KEYS) do
  local is_text = redis.call('TYPE', key).ok == 'string'
  answer[#answer + 1] = is_text and redis.call('GET', key) or false
  answer[#answer + 1] = redis.call('PTTL', key)
end
return answer
"""


async def read_otoroshi(text: str) -> bytes:
    """Read a database.

    Args:
        text: Such as ``otoroshi+redis://:password@host:6379/0?prefix=otoroshi``; the prefix is Otoroshi's
            ``app.storageRoot``.

    Returns:
        Lines of a raw dump, as `admin_api.full_import.read_dump` takes them apart; of keys that are no
        entities without their values.

    Raises:
        StoreError: The URL is not right, or the server cannot be read.
    """
    try:
        url = read_redis_url(text.removeprefix(OTOROSHI))
    except RedisUrlError as error:
        raise StoreError(f"the URL of Otoroshi's Redis: {error}") from None
    if url.kind == "cluster":
        raise StoreError(
            f"{url.shown}: Otoroshi's keys are on every node of a cluster; copy them by its export "
            "(oto-trio import)"
        )
    if url.prefix == DEFAULT_PREFIX:
        url = msgspec.structs.replace(url, prefix=ROOT)
    tls = await trio.to_thread.run_sync(url.tls_context)
    found: list[bytes] = []
    failure: StoreError | None = None
    async with trio.open_nursery() as nursery:
        line = Line(url, tls)
        await nursery.start(line.run)
        try:
            found = await _lines(line, url)
        except StoreError as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not found:
        raise StoreError(
            f"{url.shown}: there is no key below {url.prefix!r}; give Otoroshi's app.storageRoot as the "
            "option prefix, and the number of its database"
        )
    return b"\n".join(found)


async def _lines(line: Line, url: RedisUrl) -> list[bytes]:
    """Read all keys, and the values of entities."""
    keys = sorted(await keys_below(line.ask, f"{url.prefix}:"))
    entities = [key for key in keys if document_of(key.removeprefix(f"{url.prefix}:")) is not None]
    lines: list[bytes] = []
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    for start in range(0, len(entities), KEYS_AT_ONCE):
        some = entities[start : start + KEYS_AT_ONCE]
        answer: list[Any] = await line.ask("EVAL", _VALUES, len(some), *some)
        for place, key in enumerate(some):
            value, ttl_ms = answer[2 * place], answer[2 * place + 1]
            if value is not None:
                ends_ms = now_ms + ttl_ms if ttl_ms >= 0 else -1
                lines.append(_line(key, _text(key, value), ends_ms, "string"))
    is_entity = set(entities)
    lines += [_line(key, None, -1, "none") for key in keys if key not in is_entity]
    return lines


def _text(key: str, value: bytes) -> str:
    """Read a value as text."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"the value of {key} is no text ({error}); remove that key") from error


def _line(key: str, value: str | None, ends_ms: int, what: str) -> bytes:
    return msgspec.json.encode({"k": key, "v": value, "t": ends_ms, "w": what})
