"""When a session is looked at again, to see who let others wait for too long."""

__all__ = ["Patience"]


class Patience:
    """The deadline of one connection, and since when nobody asks anything of it.

    Args:
        idle_s: Without a request for so long, the connection is closed; seconds.
        now: The Trio clock, as in every method here.
        least_s: Between two looks at an idle connection, at least.
    """

    __slots__ = ("_due", "_idle_s", "_least_s", "_was_busy", "quiet_since")

    def __init__(self, idle_s: float, now: float, *, least_s: float = 0.0) -> None:
        self._idle_s = idle_s
        self._least_s = least_s
        self._due = 0.0
        self._was_busy = False
        self.quiet_since = now
        """When the last request ended."""

    def is_idle(self, now: float) -> bool:
        """Whether there was no request for too long, as of the last `rearm`."""
        return not self._was_busy and now - self.quiet_since >= self._idle_s

    def passed(self) -> None:
        """Note that the deadline has passed."""
        self._due = 0.0

    def rearm(self, now: float, *, busy: bool, wait_s: float | None) -> float | None:
        """Return the deadline, if it has to be said anew.

        Args:
            now: The Trio clock.
            busy: Whether requests are under way.
            wait_s: Seconds until somebody may have let others wait for too long; None when nobody waits.
        """
        if busy or self._was_busy:
            self.quiet_since = now
        self._was_busy = busy
        if wait_s is None:
            wait_s = max(self.quiet_since + self._idle_s - now, self._least_s)
        due = now + wait_s
        # A deadline that comes too early does no harm; moving it with every request would cost.
        if self._due != 0.0 and due >= self._due - wait_s / 4:
            return None
        self._due = due
        return due
