"""Vaults as the settings describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from oto_trio.control.configuration import Source
from oto_trio.control.environment import read_environment
from oto_trio.control.settings import Settings
from oto_trio.control.shown_settings import shown_settings
from oto_trio.control.store import MemoryStore
from oto_trio.control.vaults import vault_problems, vaults_of
from oto_trio.model.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        ({"type": "hashicorp"}, ".type", "write hashicorp-vault"),
        ({"type": "alibaba-cloud", "url": "planted"}, "", "missing required field access-key-id"),
        (
            {"type": "alibaba-cloud", "access-key-id": "planted", "access-key-secret": ""},
            "",
            "must not be empty",
        ),
        ({"type": "aws", "access-key": "planted"}, "", "access-key and access-key-secret"),
        ({"type": "azure", "tenant": "planted"}, "", "give token, or tenant"),
        ({"type": "gcloud", "auth_mode": "token"}, "", "needs token"),
        ({"type": "infisical", "serviceToken": "planted", "e2ee": True}, "", "e2ee must be false"),
        ({"type": "kubernetes", "endpoint": "planted"}, "", "endpoint must be an http"),
        ({"type": "planted"}, ".type", "use one of env, local, file, hashicorp-vault"),
        ({"type": ["planted"]}, ".type", "expected a string"),
        ({"type": "file"}, "", "missing required field root"),
        ({"type": "env", "prefix": 5}, ".prefix", "Expected str | null"),
        ({"type": "hashicorp-vault", "tokn": "planted"}, "", "unknown field tokn"),
        ({"type": "hashicorp-vault", "kv": "v3"}, ".kv", "v3"),
        ({"type": "hashicorp-vault", "url": "ftp://planted"}, "", "http or https URL"),
        ({"type": "hashicorp-vault", "secret_id": "planted"}, "", "secret_id needs role_id"),
        ({"type": "hashicorp-vault", "role_id": ""}, "", "must not be empty"),
        ({"type": "hashicorp-vault", "role_id": "planted", "token": "t"}, "", "not both"),
        ({"type": "hashicorp-vault", "namespace": "planted\n"}, "", "printable ASCII"),
        ({"type": "hashicorp-vault", "auth_mount": "/"}, "", "auth_mount must not be empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(given: dict[str, Any], path: str, words: str) -> None:
    (problem,) = vault_problems({"corp": given}, "$.settings.vaults")
    assert problem.path == f"$.settings.vaults.corp{path}"
    assert words in str(problem)
    assert "planted" not in str(problem)


def test_a_name_that_no_reference_can_have_is_refused() -> None:
    (problem,) = vault_problems({"a/b": {"type": "env"}}, "$")
    assert problem.path == "$.a/b"


def test_the_defaults_are_right() -> None:
    assert vault_problems(Settings().all_vaults, "$") == []


async def test_every_vault_of_file_and_environment_is_there(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    root = tmp_path / "secrets"
    root.mkdir()
    (root / "a").write_text("in a file")
    path.write_text(
        f"settings: {{vaults: {{files: {{type: file, root: {root}}}, mine: {{prefix: NO_}}}}}}"
    )
    environ = {
        "OTOROSHI_VAULTS_INSTANCES_MINE": '{"type": "env", "prefix": "WEAK_"}',
        "OTO_TRIO_VAULTS_INSTANCES_MINE": '{"type": "env", "prefix": "MY_"}',
        "OTOROSHI_VAULTS_ENV_PREFIX": "PRE_",
        "MY_X": "mine",
        "PRE_X": "prefixed",
    }
    configuration = Source(path, {}, (), environ).read()
    assert configuration.warnings == []
    async with MemoryStore() as store:
        vaults = vaults_of(configuration.settings, store, environ)
        found = await vaults.fetch(
            ["vault://files/a", "vault://mine/X", "vault://env/X", "vault://local/a"]
        )
    assert list(found.values()) == ["in a file", "mine", "prefixed", None]


def test_wrong_variables_of_vaults_are_told(tmp_path: Path) -> None:
    environ = {"OTOROSHI_VAULTS_INSTANCES_A": "planted", "OTO_TRIO_VAULTS_INSTANCES_B": "{}"}
    environment = read_environment(Settings, environ)
    assert [p.path for p in environment.problems] == ["$OTOROSHI_VAULTS_INSTANCES_A"]
    assert environment.values == {"vaults": {"b": {}}}
    assert "planted" not in str(environment.problems)
    path = tmp_path / "c.yaml"
    path.write_text("settings: {vaults: {corp: {type: hashicorp-vault, token: [planted]}}}")
    with pytest.raises(SettingsError) as raised:
        Source(path).read()
    (problem,) = raised.value.problems
    assert problem.path == f"{path}: $.settings.vaults.corp.token"
    assert "planted" not in str(problem)


def test_tokens_are_not_shown() -> None:
    settings = Settings(
        vaults={
            "corp": {"type": "hashicorp-vault", "url": "http://v.test", "token": "planted"},
            "role": {"type": "hashicorp-vault", "role_id": "a-role", "secret_id": "planted"},
        }
    )
    shown = shown_settings(settings, file=None, environ={}, variables={}, flags={})
    text = msgspec.json.encode(shown)
    assert b"http://v.test" in text
    assert b"planted" not in text
