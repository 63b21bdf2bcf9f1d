"""Everything `serve` is told, judged together."""

from pathlib import Path

import pytest

from oto_trio.control.configuration import Source, differences
from oto_trio.control.settings import Settings
from oto_trio.model.errors import SettingsError


def test_without_anything_there_are_the_defaults() -> None:
    configuration = Source().read()
    assert configuration.settings == Settings()
    assert configuration.declarations == []
    assert configuration.credentials is None
    assert set(configuration.origins.values()) == {"default"}


def test_each_setting_tells_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("settings: {http_port: 1, admin_port: 2, workers: 3}")
    environ = {
        "OTO_TRIO_ADMIN_PORT": "20",
        "OTO_TRIO_WORKERS": "30",
        "OTO_TRIO_ADMIN_API_CLIENT_ID": "id",
        "OTO_TRIO_ADMIN_API_CLIENT_SECRET": "secret",
        "OTO_TRIO_WORKRES": "1",
    }
    configuration = Source(path, {"workers": 300}, ("a.test=http://192.0.2.1",), environ).read()
    settings, origins = configuration.settings, configuration.origins
    assert (settings.http_port, settings.admin_port, settings.workers) == (1, 20, 300)
    assert origins["http_port"] == str(path)
    assert origins["admin_port"] == "$OTO_TRIO_ADMIN_PORT"
    assert origins["workers"] == "--workers"
    assert configuration.credentials is not None
    assert configuration.credentials.client_id == "id"
    assert [d.entity.id for d in configuration.declarations] == ["route_a-test"]
    assert [problem.path for problem in configuration.warnings] == ["$OTO_TRIO_WORKRES"]


def problem_paths(source: Source) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        source.read()
    return [problem.path for problem in raised.value.problems]


def test_every_problem_of_every_source_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("settings: {http_port: no, workers: 5000}\nroutes: [{id: a}, 3]\n")
    source = Source(
        path,
        {"admin_port": 99999, "https_port": 8080},
        ("nonsense",),
        {"OTO_TRIO_LOG_LEVEL": "loud"},
    )
    assert problem_paths(source) == [
        f"{path}: $.settings.http_port",
        f"{path}: $.routes[1]",
        "$OTO_TRIO_LOG_LEVEL",
        "--admin-port",
        "--https-port",
        f"{path}: $.settings.workers",
        "--route 'nonsense'",
    ]


def test_the_engine_says_what_is_wrong_with_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("settings: {engine: {head_bites: 1}}")
    assert problem_paths(Source(path)) == [f"{path}: $.settings.engine"]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    assert problem_paths(Source(path)) == [f"{path}: $"]


def test_a_reload_sorts_what_changed() -> None:
    before = Settings()
    after = Settings(http_port=1, workers=3, engine={"head_bytes": 1}, drain_timeout_s=3)
    found = differences(before, after)
    assert found.needs_restart == ["http_port", "workers"]
    assert found.needs_new_workers == ["engine"]
    assert found.at_once == ["drain_timeout_s"]
    nothing = differences(before, before)
    assert nothing.needs_restart + nothing.needs_new_workers + nothing.at_once == []
