"""What a worker's clock differs from that of its machine."""

import time

import trio

__all__ = ["machine_clock_offset_s"]


def machine_clock_offset_s() -> float:
    """Return how far the machine's monotonic clock is ahead of this run's Trio clock.

    A Trio run begins its clock at a random reading; what several processes count together needs one
    that they agree on.
    """
    return time.clock_gettime(time.CLOCK_MONOTONIC) - trio.current_time()
