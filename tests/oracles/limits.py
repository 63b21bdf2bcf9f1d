"""Slow and obvious twins of the engine's counters: what `oto_trio._core.Limits` must agree with."""

import calendar
from datetime import UTC, datetime, timedelta, timezone


class Bucket:
    """A token bucket that is filled tick by tick. Times are whole milliseconds."""

    def __init__(self, capacity: int, interval_ms: int, tokens: int, now_ms: int) -> None:
        self.held = self.capacity = capacity
        self.interval_ms, self.tokens = interval_ms, tokens
        self.tick = now_ms // interval_ms

    def take(self, now_ms: int, tokens: int = 1) -> bool:
        while self.tick < now_ms // self.interval_ms and self.held < self.capacity:
            self.tick += 1
            self.held = min(self.held + self.tokens, self.capacity)
        self.tick = max(self.tick, now_ms // self.interval_ms)
        if self.held < tokens:
            return False
        self.held -= tokens
        return True


class Window:
    """A fixed window that begins with its first call."""

    def __init__(self, length_ms: int) -> None:
        self.length_ms = length_ms
        self.calls: list[int] = []

    def count(self, now_ms: int) -> int:
        if self.calls and now_ms - self.calls[0] >= self.length_ms:
            self.calls = []
        self.calls.append(now_ms)
        return len(self.calls)


class Days:
    """Calls by day and by month of a time zone, by looking at all of them each time."""

    def __init__(self, offset_s: int) -> None:
        self.zone = timezone(timedelta(seconds=offset_s))
        self.calls: list[datetime] = []

    def count(self, unix_s: int) -> tuple[int, int]:
        now = datetime.fromtimestamp(unix_s, UTC).astimezone(self.zone)
        self.calls.append(now)
        of_month = [call for call in self.calls if (call.year, call.month) == (now.year, now.month)]
        return sum(call.day == now.day for call in of_month), len(of_month)

    def left_s(self, unix_s: int) -> tuple[int, int]:
        now = datetime.fromtimestamp(unix_s, UTC).astimezone(self.zone)
        passed = now.hour * 3600 + now.minute * 60 + now.second
        days = calendar.monthrange(now.year, now.month)[1] - now.day
        return 86_400 - passed, 86_400 - passed + days * 86_400
