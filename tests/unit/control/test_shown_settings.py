"""Settings as `oto-trio config show` tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from oto_trio.control.environment import read_environment
from oto_trio.control.settings import InitialCertificate, Settings
from oto_trio.control.shown_settings import MASK, ShownSetting, ValueSource, shown_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def shown(
    settings: Settings,
    *,
    file: tuple[Path, Mapping[str, object]] | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> dict[str, ShownSetting]:
    environ = environ or {}
    variables = read_environment(Settings, environ).variables
    found = shown_settings(
        settings, file=file, environ=environ, variables=variables, flags=flags or {}
    )
    return {setting.name: setting for setting in found}


def test_every_setting_is_shown_in_order_with_its_default() -> None:
    found = shown(Settings())
    assert list(found) == [field.name for field in msgspec.structs.fields(Settings)]
    assert {str(setting.source) for setting in found.values()} == {"default"}
    assert found["http_port"].value == 8080
    assert found["health_access_key"].value is None
    msgspec.json.encode(list(found.values()))


def test_the_strongest_source_is_named_and_what_it_overrules(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    found = shown(
        Settings(http_port=1, workers=2, admin_port=3),
        file=(path, {"http_port": 4, "workers": 2, "admin_port": 3}),
        environ={"PORT": "5", "OTOROSHI_PORT": "6", "OTO_TRIO_WORKERS": "2", "HTTPS_PORT": "no"},
        flags={"http_port": "--http-port"},
    )
    file = ValueSource("file", str(path), "settings.http_port")
    assert str(file) == f"{path}: settings.http_port"
    assert found["http_port"].source == ValueSource("flag", "--http-port")
    assert found["http_port"].overrules == (
        ValueSource("environment", "OTOROSHI_PORT"),
        ValueSource("environment", "PORT"),
        file,
    )
    assert str(found["workers"].source) == "$OTO_TRIO_WORKERS"
    assert str(found["admin_port"].source) == f"{path}: settings.admin_port"
    assert found["admin_port"].overrules == ()
    assert found["https_port"].source.kind == "default", "a refused value is not in force"


def test_no_secret_is_shown() -> None:
    secret = "planted-secret"
    settings = Settings(
        health_access_key=secret,
        metrics_access_key=secret,
        root_ca_key=secret,
        initial_cert_key=secret,
        initial_certs=(InitialCertificate(cert="c.pem", key=secret),),
        expression_config={"db": {"password": secret, "host": "db.test"}},
    )
    found = shown(settings)
    assert secret.encode() not in msgspec.json.encode(list(found.values()))
    assert found["root_ca_key"].value == MASK
    (certificate,) = found["initial_certs"].value
    assert (certificate["cert"], certificate["key"]) == ("c.pem", MASK)
    assert found["expression_config"].value["db"]["host"] == "db.test"


def test_settings_whose_name_says_secret_are_marked() -> None:
    properties: dict[str, Any] = {
        field.name: "planted" for field in msgspec.structs.fields(Settings) if _sounds_secret(field)
    }
    assert len(properties) >= 4
    found = shown(Settings(**properties))
    assert {found[name].value for name in properties} == {MASK}


def _sounds_secret(field: msgspec.structs.FieldInfo) -> bool:
    words = set(field.name.split("_"))
    is_about_one = words & {"import", "hide", "file"}
    return bool(words & {"key", "secret", "password", "token"}) and not is_about_one


def test_the_url_of_a_store_is_a_secret_as_a_whole() -> None:
    found = shown(Settings(store="postgresql://u:hidden@h/x"))
    assert found["store"].value == MASK
