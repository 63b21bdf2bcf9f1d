"""The page on HTTP/1 says what the code does: every default, every message, every name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/http1.md").read_text(encoding="utf-8")
ENGINE = ROOT / "rust/oto-engine/src"
HTTP1 = ROOT / "rust/oto-core/src/http1"


def source(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_every_bound_stands_there_with_its_default() -> None:
    block = source(ENGINE / "settings.rs").partition("impl Default for Settings")[2]
    block = block.partition("\nimpl ")[0]
    defaults = re.findall(r"^ {12}(\w+): (\d[^,]*),$", block, re.MULTILINE)
    assert len(defaults) >= 14
    for name, text in defaults:
        number = eval(text.replace("_", ""), {"__builtins__": {}})
        assert f"| `{name}` | {number} |" in PAGE


@pytest.mark.parametrize("file", ["head_error", "canonical", "body"])
def test_every_message_about_a_request_stands_there(file: str) -> None:
    code = source(HTTP1 / f"{file}.rs").partition("#[cfg(test)]")[0]
    messages = re.findall(r'Self::\w+ => (?:\{\s*)?"([A-Z][^"]+)"', code)
    assert messages
    assert [message for message in messages if message not in PAGE] == []


def test_every_message_of_the_engine_stands_there() -> None:
    code = source(ENGINE / "patience.rs", ENGINE / "attempt.rs", ENGINE / "downstream.rs")
    messages = set(re.findall(r'"((?:The|No|This) [^"]+)"', code))
    assert len(messages) >= 8
    assert {message for message in messages if message not in PAGE} == set()


def test_every_field_that_is_not_passed_on_stands_there() -> None:
    table = source(HTTP1 / "names.rs").partition("pub fn of(")[2].partition("candidates\n")[0]
    names = re.findall(r'b"([a-z0-9-]+)"', table)
    assert len(names) > 25
    assert [name for name in names if f"`{name}`" not in PAGE.lower()] == []


def test_the_fixed_bounds_stand_there() -> None:
    for file, name in (
        ("body.rs", "MAX_EXTENSION_BYTES"),
        ("body.rs", "MAX_TRAILER_BYTES"),
        ("request.rs", "MAX_FIELDS"),
    ):
        found = re.search(rf"pub const {name}: usize = (\d+);", source(HTTP1 / file))
        assert found
        assert f"{int(found[1]):,}" in PAGE
