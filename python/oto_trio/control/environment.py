"""Settings from environment variables, and from where each value came.

Every setting can be given as ``OTO_TRIO_<NAME>``; many also under the names that Otoroshi's deployments
use, the store as several of them (`otoroshi_storage`). Those of Otoroshi's that set nothing here are named in a
warning. Our own name wins over ``OTOROSHI_…``, which wins over the bare one. An empty variable counts as not
set, as deployment tools write it for "use the default".
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, get_args

import msgspec

from oto_trio.control.credentials import AdminCredentials
from oto_trio.control.otoroshi_storage import (
    STORAGE_SECRETS,
    STORAGE_VARIABLES,
    read_storage,
)
from oto_trio.control.otoroshi_variables import idle_variables
from oto_trio.model.errors import Problem
from oto_trio.model.wording import describe_type

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ALIASES",
    "PREFIX",
    "Environment",
    "Origin",
    "is_secret",
    "origins",
    "read_environment",
    "secret_variables",
    "variables_of",
]

PREFIX: Final = "OTO_TRIO_"
"""Start of our own variables."""


def _with_workers(name: str) -> tuple[str, ...]:
    """Name a setting of which Otoroshi's cluster workers have a name of their own, the weaker one."""
    worker = f"CLUSTER_WORKER_{name}"
    return f"OTOROSHI_{name}", name, f"OTOROSHI_{worker}", worker


ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "http_port": ("OTOROSHI_HTTP_PORT", "OTOROSHI_PORT", "HTTP_PORT", "PORT"),
    "https_port": ("OTOROSHI_HTTPS_PORT", "HTTPS_PORT"),
    "http_listeners": (
        "OTOROSHI_HTTP_LISTENERS",
        "OTOROSHI_ADMIN_EXTENSIONS_HTTPLISTENERS_LISTENERS",
    ),
    "http2": (
        "OTOROSHI_HTTP2_ENABLED",
        "HTTP2_ENABLED",
        "OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP2_ENABLED",
    ),
    "h2c": ("OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP2_H2C",),
    "http3": ("OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP3_ENABLED",),
    "http3_port": ("OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP3_PORT",),
    "http3_exposed_port": ("OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP3_EXPOSED_PORT",),
    "throttling_window_s": ("OTOROSHI_THROTTLING_WINDOW", "THROTTLING_WINDOW"),
    "exposed_https_port": ("OTOROSHI_EXPOSED_PORTS_HTTPS", "APP_EXPOSED_PORTS_HTTPS"),
    "store": ("OTOROSHI_REDIS_LETTUCE_URI", "OTOROSHI_REDIS_URL"),
    "health_access_key": ("OTOROSHI_HEALTH_ACCESS_KEY", "HEALTH_ACCESS_KEY"),
    "metrics_access_key": ("OTOROSHI_METRICS_ACCESS_KEY",),
    "claim_shared_key": ("OTOROSHI_CLAIM_SHAREDKEY", "CLAIM_SHAREDKEY"),
    "domain": ("OTOROSHI_DOMAIN", "APP_DOMAIN"),
    "initial_admin_login": ("OTOROSHI_INITIAL_ADMIN_LOGIN",),
    "initial_admin_password": ("OTOROSHI_INITIAL_ADMIN_PASSWORD",),
    "hide_initial_admin_password": ("OTOROSHI_HIDE_INITIAL_ADMIN_PASSWORD",),
    "write_initial_admin_password_to_file": ("OTOROSHI_WRITE_INITIAL_ADMIN_PASSWORD_TO_FILE",),
    "initial_admin_password_file": ("OTOROSHI_INITIAL_ADMIN_PASSWORD_FILE",),
    "backoffice_session_ms": ("OTOROSHI_BACKOFFICE_SESSION_EXP", "APP_BACKOFFICE_SESSION_EXP"),
    "session_name": ("OTOROSHI_SESSION_NAME", "SESSION_NAME"),
    "session_secure_only": ("OTOROSHI_SESSION_SECURE_ONLY", "SESSION_SECURE_ONLY"),
    "admin_api_exposed": ("OTOROSHI_ADMIN_API_EXPOSED", "ADMIN_API_EXPOSED"),
    "admin_api_subdomain": (
        "OTOROSHI_ADMIN_API_EXPOSED_SUBDOMAIN",
        "ADMIN_API_EXPOSED_SUBDOMAIN",
    ),
    "admin_api_domains": (
        "OTOROSHI_ADMIN_API_EXPOSED_DOMAINS",
        "ADMIN_API_EXPOSED_DOMAINS",
        "OTOROSHI_ADMIN_API_ADDITIONAL_EXPOSED_DOMAIN",
        "ADMIN_API_ADDITIONAL_EXPOSED_DOMAIN",
    ),
    "client_auth": ("OTOROSHI_SSL_OUTSIDE_CLIENT_AUTH", "SSL_OUTSIDE_CLIENT_AUTH"),
    "root_ca_ca": ("OTOROSHI_SSL_ROOTCA_CA",),
    "root_ca_cert": ("OTOROSHI_SSL_ROOTCA_CERT",),
    "root_ca_key": ("OTOROSHI_SSL_ROOTCA_KEY",),
    "root_ca_import_ca": ("OTOROSHI_SSL_ROOTCA_IMPORTCA",),
    "initial_cacert": _with_workers("INITIAL_CACERT"),
    "initial_cert": _with_workers("INITIAL_CERT"),
    "initial_cert_key": _with_workers("INITIAL_CERT_KEY"),
    "initial_cert_import_ca": ("OTOROSHI_INITIAL_CERT_IMPORTCA",),
    "vaults_enabled": ("OTOROSHI_VAULTS_ENABLED",),
    "vaults_secrets_ttl_ms": ("OTOROSHI_VAULTS_SECRETS_TTL",),
    "vaults_secrets_error_ttl_ms": ("OTOROSHI_VAULTS_SECRETS_ERROR_TTL",),
    "vaults_cached_secrets": ("OTOROSHI_VAULTS_CACHED_SECRETS",),
    "vaults_read_timeout_ms": ("OTOROSHI_VAULTS_READ_TIMEOUT", "OTOROSHI_VAULTS_READ_TTL"),
    "vaults_parallel_fetches": ("OTOROSHI_VAULTS_PARALLEL_FETCHS",),
    "vaults_env_prefix": ("OTOROSHI_VAULTS_ENV_PREFIX",),
    "vaults_local_root": ("OTOROSHI_VAULTS_LOCAL_ROOT",),
}
"""Otoroshi's names of settings, the strongest first."""

VAULT_INSTANCES: Final = ("OTOROSHI_VAULTS_INSTANCES_", f"{PREFIX}VAULTS_INSTANCES_")
"""Start of variables that hold one vault each, as JSON; the rest of the name is the vault's, in any case.
The later one wins."""

CLIENT_ID: Final = (
    "OTO_TRIO_ADMIN_API_CLIENT_ID",
    "OTOROSHI_ADMIN_API_CLIENT_ID",
    "ADMIN_API_CLIENT_ID",
)
CLIENT_SECRET: Final = (
    "OTO_TRIO_ADMIN_API_CLIENT_SECRET",
    "OTOROSHI_ADMIN_API_CLIENT_SECRET",
    "OTOROSHI_ADMIN_API_SECRET",
    "ADMIN_API_CLIENT_SECRET",
)

Origin: TypeAlias = str
"""Where a value comes from: ``default``, a file's path, ``$NAME`` of a variable, or ``--flag``."""


class Environment(msgspec.Struct, frozen=True):
    """What the environment says."""

    values: dict[str, object]
    """Settings, by name; valid ones only."""
    variables: dict[str, str]
    """The variable each of them comes from."""
    credentials: AdminCredentials | None
    """The key of the admin API, when both of its halves are given."""
    problems: list[Problem]
    """What is wrong; paths name the variable. Values are not repeated: they may be secrets."""


def read_environment(settings: type[msgspec.Struct], environ: Mapping[str, str]) -> Environment:
    """Read settings from environment variables. Never raises: see `Environment.problems`.

    Args:
        settings: The struct of settings, whose fields name the variables.
        environ: The variables, such as ``os.environ``.
    """
    values: dict[str, object] = {}
    variables: dict[str, str] = {}
    problems: list[Problem] = []
    fields = {field.name: field for field in msgspec.structs.fields(settings)}
    for name, field in fields.items():
        variable = _first_set(environ, variables_of(name))
        if variable is None:
            continue
        try:
            values[name] = _convert(environ[variable], field.type)
        except msgspec.ValidationError as error:
            problems.append(Problem(f"${variable}", _reason(error, field.type), _fix(name)))
        else:
            variables[name] = variable
    if "vaults" in fields:
        problems += _read_vaults(environ, values, variables)
    if "store" in fields and variables.get("store") != f"{PREFIX}STORE":
        problems += _read_storage(environ, values, variables)
    problems += idle_variables(environ, _read_variables(environ, fields, variables))
    problems += _unknown(environ, fields)
    credentials, wrong = _credentials(environ)
    return Environment(values, variables, credentials, problems + wrong)


def origins(
    settings: type[msgspec.Struct],
    *,
    file: tuple[str, Mapping[str, object]] | None,
    environment: Environment,
    flags: Mapping[str, object],
) -> dict[str, Origin]:
    """Say of each setting where its value comes from. Flags win over variables, those over the file.

    Args:
        settings: The struct of settings.
        file: The configuration file's path and what it sets; None when there is none.
        environment: What the environment says.
        flags: The flags that were given, by the name of their setting.
    """
    found: dict[str, Origin] = {}
    for field in msgspec.structs.fields(settings):
        name = field.name
        if name in flags:
            found[name] = f"--{name.replace('_', '-')}"
        elif name in environment.variables:
            found[name] = f"${environment.variables[name]}"
        elif file is not None and name in file[1]:
            found[name] = file[0]
        else:
            found[name] = "default"
    return found


def _read_vaults(
    environ: Mapping[str, str], values: dict[str, object], variables: dict[str, str]
) -> list[Problem]:
    """Add the vaults that have a variable each to the settings; return what is wrong with them."""
    problems: list[Problem] = []
    found: dict[str, dict[str, Any]] = {}
    used = [variables["vaults"]] if "vaults" in variables else []
    for prefix in VAULT_INSTANCES:
        for variable in sorted(v for v in environ if v.startswith(prefix) and environ[v]):
            try:
                vault = msgspec.json.decode(environ[variable], type=dict[str, Any])
            except (msgspec.DecodeError, RecursionError, UnicodeError):
                fix = 'write it like {"type": "hashicorp-vault", "url": "…"}, or remove it'
                problems.append(Problem(f"${variable}", "expected a JSON object", fix))
                continue
            found[variable.removeprefix(prefix).lower()] = vault
            used.append(variable)
    if found:
        values["vaults"] = {**cast("dict[str, Any]", values.get("vaults", {})), **found}
        variables["vaults"] = ", $".join(used)
    return problems


def _read_storage(
    environ: Mapping[str, str], values: dict[str, object], variables: dict[str, str]
) -> list[Problem]:
    """Set `store` by Otoroshi's variables of its storage; return what is wrong with them."""
    storage = read_storage(environ)
    if storage is None:
        return []
    if storage.problem is not None:
        return [storage.problem]
    values["store"] = storage.url
    variables["store"] = ", $".join(storage.variables)
    return []


def variables_of(name: str) -> tuple[str, ...]:
    """Name the variables that give a setting, the strongest first."""
    return (PREFIX + name.upper(), *ALIASES.get(name, ()))


def secret_variables(settings: type[msgspec.Struct]) -> frozenset[str]:
    """Name every variable that may hold a secret of the gateway itself.

    Args:
        settings: The struct of settings; secrets have ``extra={"secret": True}``.
    """
    secret = (f.name for f in msgspec.structs.fields(settings) if is_secret(f.type))
    named = (variable for name in secret for variable in variables_of(name))
    return frozenset(
        (*named, *CLIENT_SECRET, *STORAGE_SECRETS, f"{PREFIX}VAULTS", f"{PREFIX}INITIAL_CERTS")
    )


def is_secret(hint: object) -> bool:
    """Tell whether a field is marked as a secret."""
    return any(
        isinstance(mark, msgspec.Meta) and bool((mark.extra or {}).get("secret"))
        for mark in get_args(hint)
    )


def _first_set(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """Give the first variable of some that is set and not empty."""
    return next((name for name in names if environ.get(name)), None)


def _convert(text: str, hint: Any) -> object:
    """Read a variable's text as a setting's type: as text, number or boolean, else as JSON.

    Raises:
        msgspec.ValidationError: It does not fit.
    """
    try:
        return msgspec.convert(text, hint, strict=False)
    except msgspec.ValidationError:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            value = None
        if value is None and tuple[str, ...] in get_args(hint):
            # Otoroshi's lists of texts are written with commas between them.
            value = [part.strip() for part in text.split(",") if part.strip()]
        if not isinstance(value, dict | list):
            raise
        return msgspec.convert(value, hint)


def _reason(error: msgspec.ValidationError, hint: Any) -> str:
    """Say why a text does not fit a setting, without repeating the text."""
    text = str(error).split(" - at")[0].replace("`", "")
    if text.startswith(("Invalid enum", "Expected")) and ">" not in text and "<" not in text:
        return f"expected {describe_type(hint)}"
    return text[:1].lower() + text[1:]


def _fix(name: str) -> str:
    """Say what to do about a variable that does not fit."""
    return f"correct it, or remove it; it sets {name}"


def _read_variables(
    environ: Mapping[str, str], known: Mapping[str, object], used: Mapping[str, str]
) -> frozenset[str]:
    """Name the variables that are read, also those that a stronger one overrules."""
    named = (variable for name in known for variable in variables_of(name))
    storage = used.get("store", "").split(", $")
    vaults = (name for name in environ if name.startswith(VAULT_INSTANCES))
    keys = (*CLIENT_ID, *CLIENT_SECRET, *STORAGE_VARIABLES)
    return frozenset((*named, *storage, *vaults, *keys))


def _unknown(environ: Mapping[str, str], known: Mapping[str, object]) -> list[Problem]:
    """Warn about variables with our prefix that set nothing: they are slips of the pen."""
    names = [*(PREFIX + name.upper() for name in known), CLIENT_ID[0], CLIENT_SECRET[0]]
    problems: list[Problem] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in names:
            continue
        if variable.startswith(VAULT_INSTANCES):
            continue
        close = get_close_matches(variable, names, n=1, cutoff=0.8)
        fix = f"write {close[0]}" if close else "remove it"
        problems.append(Problem(f"${variable}", "nothing reads this variable", fix, "warning"))
    return problems


def _credentials(environ: Mapping[str, str]) -> tuple[AdminCredentials | None, list[Problem]]:
    """Read the key of the admin API."""
    client_id = _first_set(environ, CLIENT_ID)
    secret = _first_set(environ, CLIENT_SECRET)
    if client_id is None and secret is None:
        return None, []
    if client_id is None or secret is None:
        given, other = (
            (secret, CLIENT_ID[0]) if client_id is None else (client_id, CLIENT_SECRET[0])
        )
        problem = Problem(f"${given}", "is only one half of a key", f"set {other} too")
        return None, [problem]
    if ":" in environ[client_id]:
        fix = "choose an id without ':'"
        return None, [Problem(f"${client_id}", "has a ':', which ends the id in Basic", fix)]
    return AdminCredentials(client_id=environ[client_id], client_secret=environ[secret]), []
