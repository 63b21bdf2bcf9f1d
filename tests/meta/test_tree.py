"""Rules about the files themselves: sizes, names, and what none of them may say."""

import ast
import re
from pathlib import Path

LONGEST_LINES = 600
# Written by a machine, or a list by nature: nobody reads them from top to bottom.
LISTS = re.compile(
    r"(^|/)(Cargo\.lock|package-lock\.json|CHANGELOG\.md)$"
    r"|^requirements/.*\.txt$"
    r"|^tests/(vectors|parity)/"
    r"|^benches/results/"
    r"|^docs/plugin_reference\.md$"
    r"|^python/oto_trio/_core\.pyi$"
    r"|\.(svg|json|jsonl)$"
)
CODE = {".py", ".pyi", ".rs", ".ts", ".tsx", ".md", ".toml", ".yaml", ".yml", ".txt", ".css", ""}

# Names that say nothing about what is inside.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}

# Only this file spells out what no other may say.
SELF = Path("tests/meta/test_tree.py")
MACHINE_PATHS = re.compile(
    r"(?<![\w.:/-])/(?:work|root|tmp|home/\w+|Users/\w+)(?=/|[\"'`\s)]|$)",
)
REGISTRY_HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|(?:static|index)\.crates\.io"
    r"|deb\.debian\.org|proxy\.golang\.org|repo1?\.maven\.",
)
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!.*#\d+)")


def test_no_file_is_longer_than_a_reader_can_hold(texts: dict[Path, str]) -> None:
    too_long = {
        str(path): text.count("\n")
        for path, text in texts.items()
        if path.suffix in CODE and not LISTS.search(str(path)) and text.count("\n") > LONGEST_LINES
    }
    assert too_long == {}, f"split these files, the limit is {LONGEST_LINES} lines"


def test_no_file_names_a_place_on_somebodys_machine(texts: dict[Path, str]) -> None:
    assert findings(texts, MACHINE_PATHS) == []


def test_no_file_names_a_package_registry(texts: dict[Path, str]) -> None:
    assert findings(texts, REGISTRY_HOSTS) == []


def test_unfinished_work_names_its_issue(texts: dict[Path, str]) -> None:
    assert findings(texts, UNFINISHED) == []


def findings(texts: dict[Path, str], pattern: re.Pattern[str]) -> list[str]:
    """Where `pattern` occurs, as ``file:line: the line``."""
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts.items()
        if path != SELF
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_rules_of_this_file_recognise_what_they_forbid() -> None:
    slash, dot = "/", "."
    bad = {
        Path("a"): f"cd {slash}work/main\nopen('{slash}tmp/x')\nsee /workers and a/tmp/b\n",
        Path("b"): f"https://pypi{dot}org/simple\nhttps://example.org/simple\n",
        Path("c"): "# TODO later\n# TODO #12 has a place\n",
    }
    assert [hit.split(":")[:2] for hit in findings(bad, MACHINE_PATHS)] == [["a", "1"], ["a", "2"]]
    assert [hit.split(":")[:2] for hit in findings(bad, REGISTRY_HOSTS)] == [["b", "1"]]
    assert [hit.split(":")[:2] for hit in findings(bad, UNFINISHED)] == [["c", "1"]]


def test_names_say_what_is_inside(tracked: list[Path]) -> None:
    source = [path for path in tracked if path.suffix in {".py", ".pyi", ".rs", ".ts", ".tsx"}]
    empty = [
        str(path)
        for path in source
        if EMPTY_NAMES & {part.removesuffix(path.suffix).lower() for part in path.parts}
    ]
    assert empty == []


def test_every_room_of_the_package_says_what_it_is(texts: dict[Path, str], root: Path) -> None:
    modules = {
        path: text
        for path, text in texts.items()
        if path.suffix == ".py" and path.is_relative_to("python/oto_trio")
    }
    silent = [str(path) for path, text in modules.items() if not ast.get_docstring(ast.parse(text))]
    assert silent == [], "a module opens with why it exists and its place in the path"
    rooms = {path.parent for path in modules}
    without_init = [str(room) for room in rooms if not (root / room / "__init__.py").is_file()]
    assert without_init == [], "a folder of modules is a package"


def test_the_types_are_published(tracked: list[Path]) -> None:
    assert Path("python/oto_trio/py.typed") in tracked
    assert Path("python/oto_trio/_core.pyi") in tracked


def test_decisions_are_numbered_without_a_gap(tracked: list[Path]) -> None:
    names = sorted(path.name for path in tracked if path.parent == Path("docs/decisions"))
    records = [name for name in names if name != "index.md"]
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name) for name in records), records
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))


def test_news_fragments_are_named_after_an_issue_and_a_known_type(
    tracked: list[Path], root: Path
) -> None:
    pyproject = (root / "pyproject.toml").read_text(encoding="utf-8")
    types = "|".join(re.findall(r'\[\[tool\.towncrier\.type\]\]\ndirectory = "(\w+)"', pyproject))
    fragments = [path.name for path in tracked if path.parent == Path("newsfragments")]
    assert types
    assert "README.md" in fragments
    misnamed = [
        name
        for name in fragments
        if name not in {"README.md", ".gitignore"}
        and not re.fullmatch(rf"(?:\d+|\+[a-z0-9-]+)\.(?:{types})(?:\.\d+)?\.md", name)
    ]
    assert misnamed == []
