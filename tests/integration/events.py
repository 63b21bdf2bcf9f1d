"""Events that a gateway writes into a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EXPORTERS", "events_in", "exporter"]

EXPORTERS = "/apis/events.otoroshi.io/v1/data-exporters"


def exporter(name: str, **changes: Any) -> dict[str, Any]:
    """Return the document of a file exporter."""
    return {
        "id": name,
        "name": name,
        "type": "file",
        "enabled": True,
        "groupSize": 1,
        "groupDuration": 50,
        **changes,
    }


def events_in(path: Path) -> list[dict[str, Any]]:
    """Read the events of a file; a line that is being written is none yet, also where it ends within a character."""
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines]
