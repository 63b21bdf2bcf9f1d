"""Memory that nobody uses is given back to the system."""

import ctypes
import gc
import platform
from pathlib import Path
from types import SimpleNamespace

import pytest

from oto_trio.gateway.free_memory import give_back

PIECE, PIECES, KEPT_OF = 4096, 20_000, 64


def resident_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library frees otherwise")
def test_what_lies_free_between_what_is_used_is_given_back() -> None:
    pieces = [bytes([number % 251]) * PIECE for number in range(PIECES)]
    kept = pieces[::KEPT_OF]
    del pieces
    gc.collect()
    before = resident_kb()
    assert give_back()
    assert before - resident_kb() > PIECE * PIECES / 1024 / 2
    assert all(len(piece) == PIECE for piece in kept)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def library(_: str | None) -> SimpleNamespace:
        return SimpleNamespace()

    monkeypatch.setattr(ctypes, "CDLL", library)
    assert not give_back()
