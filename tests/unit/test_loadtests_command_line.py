"""Arguments of `python -m loadtests`: what is wrong is named, with what would be right."""

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from loadtests import command_line
from loadtests.errors import LoadTestError
from loadtests.scenarios import SCENARIOS
from loadtests.site import Key, Site

FOLDER = Path(command_line.__file__).parent / "scenarios"


def test_the_scenarios_are_the_ones_that_were_asked_for_one_file_each() -> None:
    assert list(SCENARIOS) == [
        "browse",
        "burst",
        "slow-clients",
        "streams",
        "sockets",
        "config-churn",
    ]
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert files == {name.replace("-", "_") for name in SCENARIOS}


def test_every_scenario_has_the_same_shape() -> None:
    for path in FOLDER.glob("[!_]*.py"):
        text = path.read_text(encoding="utf-8")  # importing it would patch this process for gevent
        for part in ("\nROUTES = (", "\nWANTED = (", "\ndef users(site: Site) -> list[type[Any]]:"):
            assert text.count(part) == 1, f"{path.name} lacks {part!r}"


def test_an_unknown_scenario_is_an_error_that_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["browse", "brows"]) == 2
    said = capsys.readouterr().err
    assert "no scenario 'brows'" in said
    assert all(name in said for name in SCENARIOS)


def test_scenarios_run_once_each_in_the_order_given_and_all_without_names() -> None:
    assert command_line.chosen(["burst", "browse", "burst"]) == ["burst", "browse"]
    assert command_line.chosen([]) == list(SCENARIOS)


@pytest.mark.parametrize(
    "argv",
    [
        ["--duration", "0"],
        ["--duration", "601"],
        ["--duration", "a while"],
        ["--users", "0"],
        ["--users", "1001"],
        ["--workers", "-1"],
        ["--host", "https://127.0.0.1:8443"],
        ["--host", "http://127.0.0.1"],
        ["--host", "http://192.0.2.1:80"],
        ["--host", "http://example.org:80"],
        ["--host", "http://127.0.0.1:port"],
        ["--admin", "127.0.0.1:8081"],
        ["--key", "only-an-id"],
        ["--key", ":secret"],
        ["--no-such-option"],
    ],
)
def test_an_argument_out_of_bounds_is_refused_by_name(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        command_line.main(argv)
    assert leaving.value.code == 2
    assert argv[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["--host", "http://127.0.0.1:8080"],
        ["--host", "http://localhost:8080", "--admin", "http://[::1]:8081"],
        ["--key", "id:secret"],
    ],
)
def test_a_running_gateway_needs_all_three_of_its_arguments(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(argv) == 2
    assert "--host, --admin and --key belong together" in capsys.readouterr().err


def test_without_locust_it_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def without_locust(name: str) -> ModuleSpec | None:
        return None if name == "locust" else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_locust)
    assert command_line.main(["browse"]) == 2
    assert "locust is not installed; run `make load` once" in capsys.readouterr().err


def test_a_key_is_sent_as_basic_authorization() -> None:
    # The example of RFC 7617, section 2.
    assert command_line.key("Aladdin:open sesame").header == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_an_admin_api_that_does_not_answer_is_named() -> None:
    site = Site("http://127.0.0.1:1", "http://127.0.0.1:1", Key("a", "b"), "http://127.0.0.1:1")
    with pytest.raises(LoadTestError, match=r"the admin API at .* does not answer"):
        site.call("GET", "/")
