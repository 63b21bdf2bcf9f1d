"""The log of a process."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator

import pytest

from oto_trio.telemetry.logs import (
    LogFormat,
    configure_logging,
    flush_log,
    lost_lines,
    say_last,
    without_credentials,
)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, sys.unraisablehook
    yield
    flush_log()
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)


def written(capsys: pytest.CaptureFixture[str]) -> str:
    flush_log()
    return capsys.readouterr().err


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
    first, second = (json.loads(line) for line in written(capsys).splitlines())
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
    lines = written(capsys).splitlines()
    assert lines[0].endswith("ERROR   supervisor: it failed")
    assert lines[-1] == "ValueError: broken"


def test_levels_below_are_left_out_and_a_second_call_replaces_the_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("text", source="a")
    configure_logging("text", source="b", level="WARNING")
    logging.getLogger("oto_trio.test").info("quiet")
    logging.getLogger("oto_trio.test").warning("loud")
    (line,) = written(capsys).splitlines()
    assert line.endswith("b: loud")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read 'Bearer abc-def1', try", "cannot read 'Bearer ***', try"),
        ("Basic dXNlcjpwdw== is wrong", "Basic *** is wrong"),
        (
            "no basic authentication. Bearer tokens only",
            "no basic authentication. Bearer tokens only",
        ),
        ("x=eyJhbGciOi.eyJzdWIi.c2ln;", "x=***;"),
        ("at otoapk_id_abc, gone", "at ***, gone"),
        ("GET https://u:p@host/a@b", "GET https://***@host/a@b"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----!", "***!"),
        ("-----BEGIN PRIVATE KEY-----\nabc", "***"),
        ("-----BEGIN CERTIFICATE-----\nabc", "-----BEGIN CERTIFICATE-----\nabc"),
    ],
)
def test_what_looks_like_a_credential_is_masked(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize("form", ["text", "json"])
def test_lines_and_tracebacks_are_masked(
    capsys: pytest.CaptureFixture[str], form: LogFormat
) -> None:
    configure_logging(form, source="worker 1")
    try:
        raise ValueError("Bearer planted-1")
    except ValueError:
        logging.getLogger("x").exception("failed with Bearer planted-2")
    shown = written(capsys)
    assert "planted" not in shown
    assert "ValueError: Bearer ***" in shown


class Failing:
    def __del__(self) -> None:
        fail()


def test_what_python_would_write_itself_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", source="worker 1")
    Failing()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("mind the gap", stacklevel=1)
    try:
        fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    lines = [json.loads(line) for line in written(capsys).splitlines()]
    assert [it["level"] for it in lines] == ["error", "warning", "critical"]
    assert "Failing.__del__" in lines[0]["message"]
    assert "mind the gap" in lines[1]["message"]
    assert lines[2]["message"] == "the process ends"
    assert all("ValueError: broken" in lines[number]["traceback"] for number in (0, 2))


def test_last_words_come_behind_the_log_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", source="supervisor")
    logging.getLogger("x").info("before")
    assert say_last("Error: one\ntwo")
    lines = capsys.readouterr().err.splitlines()
    assert json.loads(lines[0])["message"] == "before"
    assert lines[1:] == ["Error: one", "two"]
    assert lost_lines() == 0


def test_last_words_without_a_log_are_left_to_the_caller() -> None:
    assert not say_last("Error")
