"""Results on disk and on the terminal."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benches.plot import bars

FOLDER: Final = Path(__file__).parent / "results"


def write(document: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Write <scenario>.json and <scenario>.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    name = document["scenario"]
    (folder / f"{name}.json").write_text(json.dumps(rounded(document), indent=1) + "\n")
    costs = {
        proxy: numbers["cpu_us"]
        for proxy, numbers in document["proxies"].items()
        if numbers["cpu_us"] is not None
    }
    title = f"{name}: CPU microseconds per {document['cpu_us_per']}"
    (folder / f"{name}.svg").write_text(bars(title, costs))


def read(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Return all results on disk.

    Raises:
        ValueError: a file is not a result; with its name.
    """
    documents = []
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text())
            document["scenario"], document["proxies"], document["ratio"]
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path} is no result of a bench ({error}); remove it or run it again"
            raise ValueError(message) from error
        documents.append(document)
    return documents


def rounded(value: Any) -> Any:
    """Return a document with its numbers cut to four significant decimals, for readable diffs."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return value


def shown(value: float | None, digits: int) -> str:
    """Return a number with thousands separated, a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


COLUMNS: Final = (
    ("req/s", "req_s", 0),
    ("CPU µs", "cpu_us", 1),
    ("p50 ms", "p50_ms", 3),
    ("p99 ms", "p99_ms", 3),
    ("RSS MB", "rss_mb", 1),
)
# What is derived from or said beside the table has no column of its own.
ASIDE: Final = {"proxy_share", "load_core_share", "foreign_share"}


def rows(document: Mapping[str, Any]) -> list[list[str]]:
    """Return one row a proxy: its name, the five numbers, oto-trio's ratio to it, and the rest."""
    known = {key for _, key, _ in COLUMNS} | ASIDE
    found = []
    for name, numbers in document["proxies"].items():
        ratio = document["ratio"].get(name)
        rest = ", ".join(
            f"{key} {shown(value, 2)}" for key, value in numbers.items() if key not in known
        )
        found.append(
            [
                name,
                *(shown(numbers[key], digits) for _, key, digits in COLUMNS),
                shown(ratio, 2),
                rest,
            ]
        )
    return found


def headings(document: Mapping[str, Any]) -> list[str]:
    """Return the headings of `rows`."""
    names = [title for title, _, _ in COLUMNS]
    names[1] = f"CPU µs/{document.get('cpu_us_per', 'request')}"
    return ["proxy", *names, "oto-trio ÷ it", "also"]


def table(document: Mapping[str, Any]) -> str:
    """Return a result as aligned text for the terminal."""
    lines = [headings(document), *rows(document)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:], strict=True)]
            + [line[-1]]
        ).rstrip()
        for line in lines
    )
