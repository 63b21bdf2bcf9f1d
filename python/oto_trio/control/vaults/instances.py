"""Makes the vaults that the settings describe, and says what is wrong with their description."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import msgspec

from oto_trio.control.environment import secret_variables
from oto_trio.control.vaults.alibaba import AlibabaProvider, AlibabaSettings
from oto_trio.control.vaults.aws import AwsProvider, AwsSettings
from oto_trio.control.vaults.azure import AzureProvider, AzureSettings
from oto_trio.control.vaults.env import EnvProvider, EnvSettings
from oto_trio.control.vaults.files import FileProvider, FileSettings
from oto_trio.control.vaults.gcloud import GcloudProvider, GcloudSettings
from oto_trio.control.vaults.hashicorp import HashicorpProvider, HashicorpSettings
from oto_trio.control.vaults.http_document import HttpProvider, HttpSettings
from oto_trio.control.vaults.infisical import InfisicalProvider, InfisicalSettings
from oto_trio.control.vaults.izanami import IzanamiProvider, IzanamiSettings
from oto_trio.control.vaults.kubernetes import KubernetesProvider, KubernetesSettings
from oto_trio.control.vaults.local import LocalProvider, LocalSettings
from oto_trio.control.vaults.secrets import VaultBounds, Vaults
from oto_trio.control.vaults.spring_cloud import SpringCloudProvider, SpringCloudSettings
from oto_trio.model.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from oto_trio.control.settings import Settings
    from oto_trio.control.store.base import Store
    from oto_trio.control.vaults.base import SecretProvider

__all__ = ["make_providers", "vault_problems", "vaults_of"]


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What providers may read besides their settings."""

    store: Store
    environ: Mapping[str, str]
    hidden: Collection[str]


_TYPES: Final[
    Mapping[str, tuple[type[msgspec.Struct], Callable[[Any, _Surroundings], SecretProvider]]]
] = {
    "env": (EnvSettings, lambda given, at: EnvProvider(given, at.environ, at.hidden)),
    "local": (LocalSettings, lambda given, at: LocalProvider(given, at.store)),
    "file": (FileSettings, lambda given, _: FileProvider(given)),
    "hashicorp-vault": (HashicorpSettings, lambda given, _: HashicorpProvider(given)),
    "http": (HttpSettings, lambda given, _: HttpProvider(given)),
    "spring-cloud": (SpringCloudSettings, lambda given, _: SpringCloudProvider(given)),
    "kubernetes": (KubernetesSettings, lambda given, at: KubernetesProvider(given, at.environ)),
    "aws": (AwsSettings, lambda given, _: AwsProvider(given)),
    "alibaba-cloud": (AlibabaSettings, lambda given, _: AlibabaProvider(given)),
    "azure": (AzureSettings, lambda given, _: AzureProvider(given)),
    "gcloud": (GcloudSettings, lambda given, at: GcloudProvider(given, at.environ)),
    "infisical": (InfisicalSettings, lambda given, _: InfisicalProvider(given)),
    "izanami": (IzanamiSettings, lambda given, _: IzanamiProvider(given)),
}
"""The settings of each type of vault, and what makes its provider of them and of the surroundings."""


def make_providers(
    instances: Mapping[str, Mapping[str, Any]],
    *,
    store: Store,
    environ: Mapping[str, str],
    hidden: Collection[str],
) -> dict[str, SecretProvider]:
    """Make the vaults.

    Args:
        instances: Their settings by name; `vault_problems` finds none in them.
        store: Holds the global configuration.
        environ: The environment variables.
        hidden: Names of variables that are never given.
    """
    surroundings = _Surroundings(store, environ, hidden)
    made: dict[str, SecretProvider] = {}
    for name, given in instances.items():
        _, make = _TYPES[_type_of(given)]
        made[name] = make(_read(given), surroundings)
    return made


def vaults_of(settings: Settings, store: Store, environ: Mapping[str, str]) -> Vaults:
    """Make everything that gives a gateway's entities their secrets.

    Args:
        settings: Describe the vaults; `vault_problems` finds none in them.
        store: Holds the global configuration.
        environ: The environment variables.
    """
    providers = make_providers(
        settings.all_vaults, store=store, environ=environ, hidden=secret_variables(type(settings))
    )
    bounds = VaultBounds(
        ttl_s=settings.vaults_secrets_ttl_ms / 1000,
        error_ttl_s=settings.vaults_secrets_error_ttl_ms / 1000,
        cached=settings.vaults_cached_secrets,
        timeout_s=settings.vaults_read_timeout_ms / 1000,
        parallel=settings.vaults_parallel_fetches,
    )
    return Vaults(providers, bounds, is_enabled=settings.vaults_enabled)


def vault_problems(instances: Mapping[str, Mapping[str, Any]], path: str) -> list[Problem]:
    """Return what is wrong with the settings of vaults, without repeating a value of them.

    Args:
        instances: The settings by the vaults' names.
        path: Where they stand.
    """
    problems: list[Problem] = []
    for name, given in instances.items():
        where = f"{path}.{name}"
        kind = given.get("type", "env")
        if not name or not set(name).isdisjoint('/?}"\\ '):
            fix = "use letters, digits, - and _"
            problems.append(Problem(where, "references cannot name this vault", fix))
        if not isinstance(kind, str) or kind not in _TYPES:
            problems.append(_unknown_type(where, kind))
            continue
        try:
            _read(given)
        except msgspec.ValidationError as error:
            message, _, at = str(error).partition(" - at `$")
            known = ", ".join(
                field.encode_name for field in msgspec.structs.fields(_TYPES[kind][0])
            )
            fix = f"a vault of type {kind} has type, {known}"
            problems.append(Problem(where + at.rstrip("`"), message.replace("`", ""), fix))
    return problems


def _unknown_type(where: str, kind: object) -> Problem:
    """Say that there is no provider of a type."""
    types = f"use one of {', '.join(_TYPES)}"
    if not isinstance(kind, str):
        return Problem(f"{where}.type", "expected a string", types)
    close = get_close_matches(kind, _TYPES, n=1)
    return Problem(
        f"{where}.type", "there is no such type of vault", f"write {close[0]}" if close else types
    )


def _read(given: Mapping[str, Any]) -> msgspec.Struct:
    """Read the settings of one vault.

    Raises:
        msgspec.ValidationError: They are wrong.
    """
    values = {key: value for key, value in given.items() if key != "type"}
    settings, _ = _TYPES[_type_of(given)]
    return msgspec.convert(values, settings)


def _type_of(given: Mapping[str, Any]) -> str:
    """Return the type of a vault."""
    kind: str = given.get("type", "env")
    return kind
