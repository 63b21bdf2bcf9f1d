"""The table of docs/performance.md, written from the results."""

from pathlib import Path
from typing import Any, Final

from benches import bars, results
from benches.errors import BenchError
from benches.scenarios import SCENARIOS

PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN: Final = "<!-- results: begin (written by python -m benches --report) -->"
END: Final = "<!-- results: end -->"


def rewrite(page: Path = PAGE, folder: Path = results.FOLDER) -> int:
    """Put the results in `folder` between the marks of `page`; return how many there were.

    Raises:
        BenchError: the page has no marks, or there is no result.
        ValueError: a results file cannot be read.
    """
    documents = results.read(folder)
    if not documents:
        message = f"no results in {folder}: run python -m benches first"
        raise BenchError(message)
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{page} has no place for results: it needs the lines {BEGIN!r} and {END!r}"
        raise BenchError(message)
    order = list(SCENARIOS)
    documents.sort(
        key=lambda d: order.index(d["scenario"]) if d["scenario"] in order else len(order)
    )
    body = "\n\n".join([standing(documents), *map(section, documents)])
    page.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}")
    return len(documents)


def standing(documents: list[dict[str, Any]]) -> str:
    """Return the bars and how the results stand to them as a Markdown table."""
    marks = {True: "yes", False: "**no**", None: "not measured"}
    lines = ["### What must be reached", ""]
    lines += ["| scenario | bar | measured | reached |", "| :-- | :-- | --: | :-- |"]
    for verdict in bars.verdicts(documents):
        bar = verdict.bar
        lines.append(
            f"| {bar.scenario} | {bar.text} ≤ {bar.limit:g} |"
            f" {results.shown(verdict.measured, 3)} | {marks[verdict.reached]} |"
        )
    return "\n".join(lines)


def section(document: dict[str, Any]) -> str:
    """Return one scenario as a Markdown section."""
    heading = results.headings(document)
    lines = [
        f"### {document['scenario']}",
        "",
        f"{document.get('summary', '')}. {conditions(document.get('conditions', {}))}".strip(),
        "",
        "| " + " | ".join(heading) + " |",
        "| :-- |" + " --: |" * (len(heading) - 2) + " :-- |",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in results.rows(document)]
    if document.get("invalid"):
        lines += ["", "Runs left out as invalid: " + "; ".join(document["invalid"]) + "."]
    return "\n".join(lines)


def conditions(facts: dict[str, Any]) -> str:
    """Return the conditions of a result in one sentence, empty when it has none."""
    if not facts:
        return ""
    niceness = facts.get("niceness")
    return (
        f"Medians of {facts['rounds']} rounds; {facts['cpu']}, {facts['cores']} cores,"
        f" Linux {facts['kernel']}, Python {facts['python']}"
        + (f", niceness {niceness}." if niceness else ".")
    )
