"""Lines of the access log, against Python's own JSON and calendar."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio._core import access_lines

TEXTS = st.text(max_size=40)
COUNTS = st.integers(0, 2**64 - 1)
SECONDS = st.floats(0, 1e6)
RECORDS = st.tuples(
    *(SECONDS, SECONDS, SECONDS, TEXTS, st.none() | TEXTS, st.none() | TEXTS, TEXTS, TEXTS, TEXTS),
    *(st.integers(100, 999), COUNTS, COUNTS, COUNTS, st.booleans(), TEXTS, st.none() | TEXTS),
    st.none() | st.lists(st.dictionaries(TEXTS, COUNTS | TEXTS, max_size=2), max_size=2),
)
KEYS = (
    *("started", "duration_ms", "upstream_ms", "ip", "route", "target", "method", "host", "path"),
    *("status", "attempts", "bytes_in", "bytes_out", "local", "request_id", "apikey"),
)


def packed(*records: object) -> bytes:
    return msgspec.msgpack.encode(list(records))


@given(st.lists(RECORDS, max_size=3), st.floats(0, 4e9))
def test_a_line_says_what_the_record_does(records: list[tuple[Any, ...]], offset_s: float) -> None:
    lines = access_lines(packed(*records), offset_s).split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == len(records)
    for line, record in zip(lines, records, strict=True):
        shown = json.loads(line)
        told = dict(zip(KEYS, record, strict=False))
        began = datetime.fromisoformat(shown.pop("time"))
        assert abs(began - datetime.fromtimestamp(record[0] + offset_s, UTC)) <= timedelta(
            milliseconds=1
        )
        for name in ("duration_ms", "upstream_ms"):
            assert shown.pop(name) == pytest.approx(told.pop(name) * 1000, abs=0.001)
        assert shown == {name: told[name] for name in shown}
        assert len(shown) == len(KEYS) - 3


@pytest.mark.parametrize("offset_s", [1e300, -1e300, float("inf"), float("nan")])
def test_a_clock_that_is_wrong_by_ages_still_gives_a_line(offset_s: float) -> None:
    record = (0.0, 0.0, 0.0, "", None, None, "", "", "", 200, 1, 0, 0, False, "", None, None)
    assert json.loads(access_lines(packed(record), offset_s))["time"].startswith("1970-01-01T")


@pytest.mark.parametrize(
    "batch",
    [
        b"",
        b"\xc1",
        b"{}",
        packed(1),
        packed([]),
        packed([1.0] * 17),
        packed({"a": 1}),
        b"\x91" * 9999,
    ],
)
def test_what_is_no_batch_is_refused(batch: bytes) -> None:
    with pytest.raises(ValueError, match="it is no batch of access records"):
        access_lines(batch, 0.0)


@given(st.binary(max_size=64), st.integers(0, 120))
def test_a_batch_that_is_damaged_gives_lines_or_an_error(noise: bytes, at: int) -> None:
    record = (0.0, 0.0, 0.0, "a", None, "b", "c", "d", "e", 200, 1, 0, 0, False, "f", "g", None)
    good = packed(record)
    damaged = good[:at] + noise + good[at + len(noise) :]
    try:
        lines = access_lines(damaged, 0.0)
    except ValueError:
        return
    for line in lines.splitlines():
        json.loads(line)
