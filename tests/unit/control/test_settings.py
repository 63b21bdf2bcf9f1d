"""Static settings: what goes together, and what a reload makes of them."""

from pathlib import Path

import msgspec
import pytest

from oto_trio.control.config_files import read_config_file, with_overrides
from oto_trio.control.settings import (
    NEEDS_NEW_WORKERS,
    NEEDS_RESTART,
    InitialCertificate,
    Settings,
    settings_problems,
)
from oto_trio.jq import JqBounds
from oto_trio.model.stream_bounds import StreamBounds


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (Settings(http_port=80, admin_port=80), "$.settings.admin_port"),
        (Settings(http_port=80, https_port=80), "$.settings.https_port"),
        (
            Settings(http_port=80, https_port=80, https_bind="unix:/a,127.0.0.1"),
            "$.settings.https_port",
        ),
        (Settings(bind="unix:/a", http3_port=443), "$.settings.http3_port"),
        (
            Settings(https_port=1, https_bind="unix:/a", http3=True),
            "$.settings.http3",
        ),
        (Settings(workers=-1), "$.settings.workers"),
        (Settings(workers=5000), "$.settings.workers"),
        (Settings(plugins="there/is/none"), "$.settings.plugins"),
        (Settings(domain="no domain"), "$.settings.domain"),
        (Settings(domain="*.oto.tools"), "$.settings.domain"),
        (Settings(root_ca_cert="PEM"), "$.settings.root_ca_cert"),
        (
            Settings(stream_bounds=StreamBounds(body_bytes=200_000, bodies_bytes=100_000)),
            "$.settings.stream_bounds.bodies_bytes",
        ),
        (Settings(initial_cert_key="secret"), "$.settings.initial_cert"),
        (
            Settings(initial_certs=(InitialCertificate(), InitialCertificate(cert="x"))),
            "$.settings.initial_certs[1].cert",
        ),
    ],
)
def test_what_no_single_key_shows_is_found(settings: Settings, path: str) -> None:
    assert [problem.path for problem in settings_problems(settings)] == [path]


@pytest.mark.parametrize(
    "settings",
    [
        Settings(http_port=80, admin_port=80, admin_bind="unix:/admin"),
        Settings(http_port=80, https_port=80, https_bind="unix:/secured"),
        Settings(http_port=80, admin_port=80, bind="unix:/plain"),
        Settings(http_port=443, https_port=8443, http3_port=443),
        Settings(http_port=0, https_port=0, admin_port=0),
        Settings(bind="unix:/plain", https_bind="127.0.0.1", https_port=443, http3=True),
    ],
)
def test_what_goes_together_is_no_problem(settings: Settings) -> None:
    assert settings_problems(settings) == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("{requests: 9}", "expected `int` >= 10 - at `$.requests`"),
        ("{head_bytes: 1000000}", "expected `int` <= 262144 - at `$.head_bytes`"),
        ("{stall_s: soon}", "expected `float`, got `str` - at `$.stall_s`"),
        ("{streams: 5}", "object contains unknown field `streams`"),
        ("7", "expected an object, found a whole number"),
    ],
)
def test_bounds_of_connections_are_checked(tmp_path: Path, given: str, problem: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"settings: {{stream_bounds: {given}}}")
    (found,) = read_config_file(path).problems
    assert (found.path, found.message) == ("$.settings.stream_bounds", problem)


def test_bounds_of_filters_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("settings: {jq: {timeout_s: 0}}")
    (found,) = read_config_file(path).problems
    wanted = "expected `float` >= 0.01 - at `$.timeout_s`"
    assert (found.path, found.message) == ("$.settings.jq", wanted)
    path.write_text("settings: {jq: {timeout_s: 0.5, processes: 3}}")
    assert read_config_file(path).settings["jq"] == JqBounds(timeout_s=0.5, processes=3)


def test_certificates_and_https_are_settings_too(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        """
settings:
  https_port: 0
  domain: gateway.localhost
  client_auth: Want
  initial_certs:
  - {cert: cert.pem, key: key.pem, ca: ca.pem, import_ca: true}
"""
    )
    file = read_config_file(path)
    assert file.problems == []
    settings, _ = with_overrides(file, {}, {})
    assert settings_problems(settings) == []
    given = InitialCertificate(cert="cert.pem", key="key.pem", ca="ca.pem", import_ca=True)
    assert settings.initial_certs == (given,)
    assert (settings.https_port, settings.client_auth) == (0, "Want")
    assert Settings().https_port is None, "no HTTPS unless it is asked for"
    path.write_text("settings: {initial_certs: [{cert: c, kee: k}], client_auth: Maybe}")
    paths = {problem.path for problem in read_config_file(path).problems}
    assert paths == {"$.settings.initial_certs", "$.settings.client_auth"}


def test_ports_that_are_picked_do_not_collide(tmp_path: Path) -> None:
    settings = Settings(http_port=0, https_port=0, admin_port=0, plugins=str(tmp_path))
    assert settings_problems(settings) == []


def test_every_setting_is_described_and_known_to_the_reload() -> None:
    fields = {field.name for field in msgspec.structs.fields(Settings)}
    assert fields >= NEEDS_RESTART | NEEDS_NEW_WORKERS
    assert not NEEDS_RESTART & NEEDS_NEW_WORKERS
    properties = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    assert all("description" in schema for schema in properties.values())


# --------------------------------------------------------------------------------------- folders
