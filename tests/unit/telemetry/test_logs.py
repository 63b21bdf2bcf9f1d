"""The log of a process."""

import json
import logging
from collections.abc import Iterator

import pytest

from oto_trio.telemetry.logs import configure_logging


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def fail() -> None:
    raise ValueError("broken")


def test_json_lines_hold_everything(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", source="worker 3")
    logger = logging.getLogger("oto_trio.test")
    logger.warning("%d routes\nare compiled", 5)
    try:
        fail()
    except ValueError:
        logger.exception("it failed")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["level"], first["from"], first["logger"]) == (
        "warning",
        "worker 3",
        "oto_trio.test",
    )
    assert first["message"] == "5 routes\nare compiled"
    assert first["time"].endswith("+00:00")
    assert "traceback" not in first
    assert "ValueError: broken" in second["traceback"]


def test_text_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", source="supervisor")
    logger = logging.getLogger("oto_trio.test")
    try:
        fail()
    except ValueError:
        logger.exception("it failed")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("ERROR   supervisor: it failed")
    assert lines[-1] == "ValueError: broken"


def test_levels_below_are_left_out_and_a_second_call_replaces_the_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("text", source="a")
    configure_logging("text", source="b", level="WARNING")
    logging.getLogger("oto_trio.test").info("quiet")
    logging.getLogger("oto_trio.test").warning("loud")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("b: loud")
