"""The engine's counters against obvious models, and in several processes at once."""

import json
import os
import subprocess
import sys
import time
from itertools import accumulate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio._core import Limits, TokenBucket
from tests.oracles.limits import Bucket, Days, Window

STEPS = st.lists(st.sampled_from([0, 0, 0, 1, 9, 50, 999, 1000, 10_001]), max_size=80)
SECONDS = st.lists(
    st.sampled_from([0, 1, 3_599, 43_200, 86_399, 86_400, 27 * 86_400, 31 * 86_400]), max_size=40
)


@given(
    steps=STEPS,
    start=st.integers(0, 10**9),
    capacity=st.integers(1, 7),
    interval=st.sampled_from([1, 7, 50, 1000]),
    tokens=st.integers(1, 4),
)
def test_a_token_bucket_gives_what_its_model_gives(
    steps: list[int], start: int, capacity: int, interval: int, tokens: int
) -> None:
    model = Bucket(capacity, interval, tokens, start)
    own = TokenBucket(capacity, interval, tokens)
    limits = Limits()
    strategy = msgspec.json.encode(
        {
            "id": "LocalTokensBucketStrategyConfig",
            "capacity": capacity,
            "refillRequestIntervalMs": interval,
            "refillRequestedTokens": tokens,
        }
    )
    for now in accumulate(steps, initial=start):
        taken = model.take(now)
        wait_s = own.wait_s(now / 1000)
        assert own.take(now / 1000) is taken
        usage = limits.consume_quota("k", now / 1000, 0, strategy=strategy)
        assert (usage.broken is None) is taken
        assert own.available(now / 1000) == model.held == capacity - usage.window[0]
        assert wait_s is not None
        assert (wait_s == 0) is taken
        if not taken:
            after = now + round(wait_s * 1000)
            assert own.available(after / 1000) >= 1
            assert own.available((after - 1) / 1000) == 0


@given(steps=STEPS, start=st.integers(0, 2**33), length=st.sampled_from([1, 50, 10_000]))
def test_a_fixed_window_counts_as_its_model(steps: list[int], start: int, length: int) -> None:
    model, limits = Window(length), Limits()
    strategy = msgspec.json.encode(
        {"id": "FixedWindowStrategyConfig", "windowDurationMs": length, "quota": {"window": 3}}
    )
    for now in accumulate(steps, initial=start):
        usage = limits.consume_quota("k", now / 1000, 0, strategy=strategy)
        count = model.count(now)
        used, limit, length_ms, left_ms = usage.window
        assert (used, limit, length_ms) == (count, 3, length)
        assert left_ms == length - (now - model.calls[0])
        assert usage.broken == (None if count <= 3 else "window")
        assert usage.retry_after_s == (None if count <= 3 else max(-(-left_ms // 1000), 1))


@given(
    steps=SECONDS,
    start=st.integers(1_000_000_000, 2_000_000_000),
    offset=st.sampled_from([0, 3_600, -18_000, 20_700, 50_400]),
)
def test_days_and_months_end_when_the_calendar_says(
    steps: list[int], start: int, offset: int
) -> None:
    model, limits = Days(offset), Limits(utc_offset_s=offset)
    for number, now in enumerate(accumulate(steps, initial=start)):
        usage = limits.consume_quota("k", number, now, daily=3, monthly=5)
        day, month = model.count(now)
        assert (usage.daily[0], usage.monthly[0]) == (day, month)
        assert (usage.daily[3], usage.monthly[3]) == tuple(s * 1000 for s in model.left_s(now))
        broken = "daily" if day > 3 else "monthly" if month > 5 else None
        assert usage.broken == broken


def test_a_month_ends_at_local_midnight() -> None:
    last = 1_709_251_199  # 2024-02-29T23:59:59Z
    limits = Limits()
    assert limits.consume_quota("k", 0, last, monthly=1).broken is None
    refused = limits.consume_quota("k", 0, last, monthly=1)
    assert (refused.broken, refused.retry_after_s) == ("monthly", 1)
    assert limits.consume_quota("k", 1, last + 1, monthly=1).broken is None
    # The same second in a zone that is an hour ahead: March began there an hour ago.
    limits.set_utc_offset(3_600)
    assert limits.consume_quota("k", 1, last + 1, monthly=1).broken == "monthly"


def test_looking_counts_nothing_and_a_reset_begins_anew() -> None:
    limits = Limits()
    for _ in range(3):
        limits.consume_quota("k", 1, 86_400)
    assert limits.peek_quota("k", 1, 86_400).daily[0] == 3
    assert limits.peek_quota("other", 1, 86_400).daily[0] == 0
    assert limits.occupancy()[0] == 1, "to look makes no counter"
    limits.reset_quota("k", 1, 86_400)
    usage = limits.peek_quota("k", 1, 86_400)
    assert (usage.window[0], usage.daily[0], usage.monthly[0]) == (3, 0, 0)


def test_what_is_kept_is_found_again_by_the_same_seed() -> None:
    before = Limits(seed=(1, 2**64 - 1))
    for _ in range(3):
        before.consume_quota("k", 1, 86_400)
    [(_, kept)] = before.take_changed()
    assert before.take_changed() == []
    after = Limits(seed=(1, 2**64 - 1))
    assert after.restore(kept, 1, 86_400) == 1
    with pytest.raises(ValueError, match="page: it is cut short"):
        after.restore(kept[:-1], 1, 86_400)
    assert after.peek_quota("k", 1, 86_400).monthly[0] == 3
    other = Limits(seed=(1, 3))
    other.restore(kept, 1, 86_400)
    assert other.peek_quota("k", 1, 86_400).monthly[0] == 0


def test_what_is_no_table_is_refused(tmp_path: object) -> None:
    descriptor = os.memfd_create("no table")
    try:
        with pytest.raises(OSError, match="cut short"):
            Limits.open(descriptor, 1)
        os.ftruncate(descriptor, 1 << 20)
        with pytest.raises(OSError, match="not a table"):
            Limits.open(descriptor, 1)
        os.ftruncate(descriptor, 0)
        Limits(fd=descriptor)
        Limits.open(descriptor, 1)
        with pytest.raises(OSError, match="too many workers"):
            Limits.open(descriptor, 10_000)
        os.ftruncate(descriptor, os.fstat(descriptor).st_size + 4096)
        with pytest.raises(OSError, match="another size"):
            Limits.open(descriptor, 1)
    finally:
        os.close(descriptor)


HAMMER = """
import json, sys
from oto_trio._core import Limits
fd, gauge, calls = map(int, sys.argv[1:])
limits = Limits.open(fd, gauge)
print(flush=True)
sys.stdin.readline()
admitted = {}
for call in range(calls):
    for key in range(40):
        usage = limits.consume_quota(f"k{key}", 1.0, 86400.0, daily=500 + key)
        if usage.broken is None:
            admitted[key] = admitted.get(key, 0) + 1
print(json.dumps(admitted))
"""


@pytest.mark.slow
def test_eight_processes_admit_exactly_as_many_calls_as_the_quota_says() -> None:
    descriptor = os.memfd_create("limits")
    limits = Limits(fd=descriptor)
    command = [sys.executable, "-c", HAMMER, str(descriptor)]
    processes = [
        subprocess.Popen(
            [*command, str(number), "400"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[descriptor],
        )
        for number in range(1, 9)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    os.close(descriptor)
    for key in range(40):
        assert sum(one.get(str(key), 0) for one in told) == 500 + key
        assert limits.peek_quota(f"k{key}", 1.0, 86400.0).daily[0] == 8 * 400
    assert (limits.uncounted, limits.forgotten, limits.occupancy()[0]) == (0, 0, 40)


@pytest.mark.slow
def test_a_process_that_is_killed_in_the_middle_leaves_a_table_that_counts() -> None:
    descriptor = os.memfd_create("limits")
    limits = Limits(fd=descriptor)
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(descriptor), "1", "100000000"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[descriptor],
        )
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.write("go\n")
        process.stdin.flush()
        before = limits.peek_quota("k7", 1.0, 86400.0).daily[0]
        while limits.peek_quota("k7", 1.0, 86400.0).daily[0] < before + 50 * (round_ + 1):
            time.sleep(0.001)
        process.kill()
        process.communicate(timeout=300)
        limits.release(process.pid, 1)
        for key in range(40):
            used = limits.peek_quota(f"k{key}", 1.0, 86400.0).daily[0]
            again = limits.consume_quota(f"k{key}", 1.0, 86400.0).daily[0]
            assert again == used + 1
    os.close(descriptor)
    assert limits.uncounted == 0
