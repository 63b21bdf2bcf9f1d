"""Configuration files: what they say, and what is wrong with them."""

import json
from pathlib import Path

import msgspec
import pytest

from oto_trio.control import config_files as config_files_module
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES
from oto_trio.control.config_files import read_config_file, with_overrides
from oto_trio.control.settings import Settings

CONTENT = {
    "settings": {"http_port": 1234, "workers": 2, "engine": {"head_bytes": 4096}},
    "routes": [{"id": "a"}],
    "backends": [{"id": "k"}],
}
TOML = """
[settings]
http_port = 1234
workers = 2
engine = {head_bytes = 4096}

[[routes]]
id = "a"

[[backends]]
id = "k"
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.json", json.dumps(CONTENT)),
        ("c.yaml", msgspec.yaml.encode(CONTENT).decode()),
        ("c.yml", msgspec.yaml.encode(CONTENT).decode()),
        ("c.toml", TOML),
    ],
)
def test_a_file_is_read_in_each_form(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    file = read_config_file(path)
    assert file.problems == []
    assert file.settings == CONTENT["settings"]
    assert file.entities["routes"] == CONTENT["routes"]
    assert file.entities["backends"] == CONTENT["backends"]


@pytest.mark.parametrize("text", ["", "{}", "settings:\nroutes:\nbackends:\n"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    file = read_config_file(path)
    assert (file.settings, file.entities["routes"], file.problems) == ({}, [], [])


@pytest.mark.parametrize(
    ("name", "text", "path", "message"),
    [
        ("c.yaml", "a: [1", "$", "is not yaml"),
        ("c.json", "{", "$", "is not json"),
        ("c.toml", "= 3", "$", "is not toml"),
        ("c.toml", "\udcff", "$", "is not toml"),
        ("c.ini", "a=1", "$", ".ini is no form"),
        ("config", "a=1", "$", "a name without an end is no form"),
        ("c.yaml", "- 1", "$", "expected an object"),
        ("c.json", '{"label": "Otoroshi export", "config": {}, "apiKeys": []}', "$", "full export"),
        ("c.yaml", "route: []", "$.route", "no such key"),
        ("c.yaml", "settings: 3", "$.settings", "expected an object"),
        ("c.yaml", "routes: {}\nbackends: 3", "$.backends", "expected a list"),
        ("c.yaml", "routes: {a: 1}", "$.routes", "expected a list"),
        ("c.yaml", "settings: {http_prot: 1}", "$.settings.http_prot", "no such key"),
        (
            "c.yaml",
            "settings: {http_port: '1'}",
            "$.settings.http_port",
            "expected a whole number, found a text",
        ),
        ("c.yaml", "settings: {http_port: 99999}", "$.settings.http_port", "<= 65535"),
        ("c.yaml", "settings: {log_format: xml}", "$.settings.log_format", "one of 'text', 'json'"),
        ("c.yaml", "settings: {drain_timeout_s: -1}", "$.settings.drain_timeout_s", ">= 0"),
        (
            "c.yaml",
            "settings: {throttling_window_s: 0}",
            "$.settings.throttling_window_s",
            ">= 0.001",
        ),
        ("c.yaml", "settings: {limit_counters: 1}", "$.settings.limit_counters", ">= 4096"),
    ],
)
def test_each_fault_has_a_path_and_a_fix(
    tmp_path: Path, name: str, text: str, path: str, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    problems = {problem.path: problem for problem in read_config_file(file).problems}
    assert message in problems[path].message
    assert problems[path].fix
    assert problems[path].severity == "error"


def test_every_fault_is_told_and_what_is_right_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("settings: {http_port: no, admin_port: no, workers: 3}\nroute: 1\n")
    file = read_config_file(path)
    assert {problem.path for problem in file.problems} == {
        "$.route",
        "$.settings.http_port",
        "$.settings.admin_port",
    }
    assert file.settings == {"workers": 3}


def test_a_slip_of_the_pen_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("settings: {http_prot: 1}")
    assert read_config_file(path).problems[0].fix == "write http_port"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    (problem,) = read_config_file(tmp_path / "none.yaml").problems
    assert "No such file" in problem.message


def test_a_file_that_is_too_large_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_files_module, "MAX_FILE_BYTES", 10)
    path = tmp_path / "c.yaml"
    path.write_text("settings: {workers: 3}")
    file = read_config_file(path)
    assert "larger than 10 bytes" in file.problems[0].message
    assert file.settings == {}


def test_flags_win_over_variables_and_those_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("settings: {http_port: 1, admin_port: 2, workers: 3}")
    settings, problems = with_overrides(
        read_config_file(path), {"admin_port": 20, "workers": 30}, {"workers": 300}
    )
    assert problems == []
    assert (settings.http_port, settings.admin_port, settings.workers) == (1, 20, 300)
    assert settings.bind == Settings().bind


def test_a_wrong_flag_is_named_as_a_flag() -> None:
    settings, (problem,) = with_overrides(None, {}, {"http_port": 70000})
    assert problem.path == "--http-port"
    assert settings.http_port == 8080


def test_a_folder_is_read_as_one_file(tmp_path: Path) -> None:
    (tmp_path / "routes" / "deep").mkdir(parents=True)
    (tmp_path / "settings.yaml").write_text("settings: {http_port: 1234}\n")
    (tmp_path / "routes" / "b.json").write_text('{"routes": [{"id": "b"}]}')
    (tmp_path / "routes" / "deep" / "c.toml").write_text('[[routes]]\nid = "c"\n')
    (tmp_path / "routes" / "a.yml").write_text("routes: [{id: a}, {id: a2}]\n")
    (tmp_path / "notes.txt").write_text("not: read")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("wrong: [")
    file = read_config_file(tmp_path)
    assert file.problems == []
    assert file.settings == {"http_port": 1234}
    assert file.entities["routes"] == [{"id": "a"}, {"id": "a2"}, {"id": "b"}, {"id": "c"}]
    places = [file.place("routes", index) for index in range(4)]
    assert places == [
        "routes/a.yml: $.routes[0]",
        "routes/a.yml: $.routes[1]",
        "routes/b.json: $.routes[0]",
        "routes/deep/c.toml: $.routes[0]",
    ]


def test_problems_of_a_folder_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("settings: {http_port: 1}\nrouts: []\n")
    (tmp_path / "b.yaml").write_text("settings: {http_port: 2}\nroutes: 3\n")
    (tmp_path / "c.yaml").write_text("[")
    paths = [problem.path for problem in read_config_file(tmp_path).problems]
    assert paths == [
        "a.yaml: $.routs",
        "b.yaml: $.routes",
        "b.yaml: $.settings.http_port",
        "c.yaml: $",
    ]


def test_every_kind_of_the_admin_api_is_a_section(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("".join(f"{row.plural}: []\n" for row in LEGACY_RESOURCES))
    file = read_config_file(path)
    assert file.problems == []
    assert set(file.entities) >= {row.plural for row in LEGACY_RESOURCES}
