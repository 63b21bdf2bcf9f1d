"""Bounds of filters for tests that are not about time: a busy machine may keep a process from going on for a while."""

from __future__ import annotations

from typing import Any

from oto_trio.jq import JqBounds

__all__ = ["patient"]


def patient(**bounds: Any) -> JqBounds:
    """Return bounds under which a filter may take as long as any may."""
    return JqBounds(timeout_s=60, **bounds)
