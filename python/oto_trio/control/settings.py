"""Static settings: what `oto-trio serve` is started with. Where they come from, `config_files` and `environment` know."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from oto_trio.control.admin_settings import SECRET
from oto_trio.control.listen_settings import ListenSettings, listen_problems
from oto_trio.control.store.opening import store_url_problem
from oto_trio.jq import JqBounds
from oto_trio.model.errors import Problem

__all__ = [
    "NEEDS_NEW_WORKERS",
    "NEEDS_RESTART",
    "SECRET",
    "InitialCertificate",
    "Settings",
    "expression_settings",
    "settings_problems",
]

_DOMAIN: Final = re.compile(
    r"(?=.{1,200}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)


class InitialCertificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate that is brought into the store at the start: each part is PEM, or a file's path."""

    ca: Annotated[str | None, Meta(description="the authority that issued it")] = None
    cert: Annotated[str | None, Meta(description="the certificate, with its chain")] = None
    key: Annotated[str | None, Meta(description="its private key", extra=SECRET)] = None
    import_ca: Annotated[bool, Meta(description="store the authority too")] = False


class Settings(ListenSettings, frozen=True, kw_only=True):
    """What a gateway is started with. Every field is a key of `settings` in a configuration file."""

    admin_api_exposed: Annotated[
        bool, Meta(description="serve the admin API through the gateway too, under its own names")
    ] = True
    admin_api_subdomain: Annotated[
        str, Meta(min_length=1, description="the admin API's name below domain, and localhost")
    ] = "otoroshi-api"
    admin_api_domains: Annotated[
        tuple[str, ...], Meta(description="more host names of the admin API")
    ] = ()
    workers: Annotated[
        int | None,
        Meta(description="gateway processes; null = one a core, 0 = inside the supervisor"),
    ] = None
    data: Annotated[str, Meta(description="folder of the embedded store and the credentials")] = (
        "oto-data"
    )
    store: Annotated[
        str | None,
        Meta(
            description="url of another store than the embedded one in data, as docs/stores.md says",
            extra=SECRET,  # it may hold a password
        ),
    ] = None
    history_revisions: Annotated[
        int, Meta(ge=1, le=1_000_000, description="changes that the store remembers at most")
    ] = 10_000
    history_days: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="days after which a change is forgotten; null = never"),
    ] = None
    history_mib: Annotated[
        int, Meta(ge=1, le=1_048_576, description="MiB that remembered changes may take")
    ] = 256
    plugins: Annotated[str | None, Meta(description="folder of user plugins")] = None
    jq: Annotated[JqBounds, Meta(description="what jq filters may use, by name")] = JqBounds()
    drain_timeout_s: Annotated[
        float, Meta(ge=0, le=86400, description="how long exchanges in flight may take at the end")
    ] = 10.0
    throttling_window_s: Annotated[
        float, Meta(ge=0.001, le=2_000_000, description="length of the throttling window")
    ] = 10.0
    limit_counters: Annotated[
        int, Meta(ge=4096, le=1 << 28, description="counters that the table of limits has room for")
    ] = 1 << 18
    quota_sync_s: Annotated[
        float,
        Meta(
            ge=0.1, le=60, description="how often gateways of a shared store tell what they counted"
        ),
    ] = 1.0
    access_log: Annotated[
        str | None,
        Meta(
            description="file for one JSON line an exchange, or connection of a TCP service; - is standard output"
        ),
    ] = None
    redaction: Annotated[
        dict[str, Any],
        Meta(
            description="what events tell of headers, query and fields, by name: show, strip, hash or mask"
        ),
    ] = msgspec.field(default_factory=dict[str, Any])
    log_format: Annotated[Literal["text", "json"], Meta(description="form of the log")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="lowest level that is logged"),
    ] = "info"
    health_access_key: Annotated[
        str | None,
        Meta(description="key the health probes ask for; null leaves them open", extra=SECRET),
    ] = None
    metrics_access_key: Annotated[
        str | None,
        Meta(description="key the metrics ask for; null = that of the probes", extra=SECRET),
    ] = None
    domain: Annotated[
        str, Meta(min_length=1, description="domain that the gateway's own hosts are below")
    ] = "oto.tools"
    client_auth: Annotated[
        Literal["None", "Want", "Need", "Dynamic"],
        Meta(description="certificates of HTTPS clients; Dynamic = as the global config says"),
    ] = "Dynamic"
    wildcard_certificate: Annotated[
        bool, Meta(description="make a certificate for *.domain at the first start")
    ] = True
    root_ca_ca: Annotated[
        str | None, Meta(description="what signed your root authority: PEM, or a file's path")
    ] = None
    root_ca_cert: Annotated[
        str | None, Meta(description="your root authority, in place of one made: PEM, or a path")
    ] = None
    root_ca_key: Annotated[
        str | None, Meta(description="its private key: PEM, or a file's path", extra=SECRET)
    ] = None
    root_ca_import_ca: Annotated[bool, Meta(description="store what signed it too")] = False
    initial_cacert: Annotated[
        str | None, Meta(description="an authority to store at the start: PEM, or a file's path")
    ] = None
    initial_cert: Annotated[
        str | None, Meta(description="a certificate to store at the start: PEM, or a file's path")
    ] = None
    initial_cert_key: Annotated[
        str | None, Meta(description="its private key: PEM, or a file's path", extra=SECRET)
    ] = None
    initial_cert_import_ca: Annotated[bool, Meta(description="store initial_cacert too")] = False
    initial_certs: Annotated[
        tuple[InitialCertificate, ...], Meta(description="more of them: ca, cert, key, import_ca")
    ] = ()
    claim_shared_key: Annotated[
        str,
        Meta(
            description="key of the exchange protocol of service descriptors that name this one",
            extra=SECRET,
        ),
    ] = "secret"
    expression_env: Annotated[
        tuple[str, ...], Meta(description="environment variables that ${env.NAME} may read")
    ] = ()
    expression_config: Annotated[
        dict[str, Any], Meta(description="values that ${config.PATH} reads")
    ] = msgspec.field(default_factory=dict[str, Any])
    vaults_enabled: Annotated[
        bool, Meta(description="put secrets in the place of references to vaults")
    ] = True
    vaults_secrets_ttl_ms: Annotated[
        int, Meta(ge=100, le=86_400_000, description="how long a secret that was read holds")
    ] = 300_000
    vaults_secrets_error_ttl_ms: Annotated[
        int, Meta(ge=100, le=86_400_000, description="how long the failure to read one holds")
    ] = 20_000
    vaults_cached_secrets: Annotated[
        int, Meta(ge=0, le=1_000_000, description="secrets kept, those in use apart")
    ] = 10_000
    vaults_read_timeout_ms: Annotated[
        int, Meta(ge=1, le=600_000, description="longest time for reading one secret")
    ] = 10_000
    vaults_parallel_fetches: Annotated[
        int, Meta(ge=1, le=256, description="secrets read at once")
    ] = 4
    vaults_env_prefix: Annotated[
        str | None, Meta(description="start of the variables that the vault env reads")
    ] = None
    vaults_local_root: Annotated[
        str | None, Meta(description="where in env of the global config the vault local begins")
    ] = None
    vaults: Annotated[
        dict[str, dict[str, Any]], Meta(description="vaults by name, each with a type and its keys")
    ] = msgspec.field(default_factory=dict[str, dict[str, Any]])
    unix_targets: Annotated[
        tuple[str, ...],
        Meta(
            description="Unix sockets that may be targets, and folders of such; those that the configuration "
            "itself names are among them"
        ),
    ] = ()
    mounts: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[\w.*]+(:[\w.*]+)?$")], ...],
        Meta(
            description="applications that routes may call, as package.module:name; * is anything"
        ),
    ] = ()
    engine: Annotated[
        dict[str, Any], Meta(description="bounds and timeouts of the engine, by name")
    ] = msgspec.field(default_factory=dict[str, Any])

    @property
    def engine_json(self) -> bytes:
        """The engine's settings as it reads them."""
        return msgspec.json.encode({**self.engine, "unix_targets": self.unix_targets})

    @property
    def all_vaults(self) -> dict[str, dict[str, Any]]:
        """The settings of every vault by name, those of `env` and `local` included."""
        return {
            "env": {"type": "env", "prefix": self.vaults_env_prefix},
            "local": {"type": "local", "root": self.vaults_local_root},
            **self.vaults,
        }


def expression_settings(settings: Settings, environ: Mapping[str, str]) -> bytes:
    """Return what expressions may read in every route, as the engine reads it.

    Args:
        settings: They name the environment variables; others stay unknown to expressions.
        environ: The environment.
    """
    names = (name for name in settings.expression_env if name in environ)
    return msgspec.json.encode(
        {
            "env": {name: environ[name] for name in names},
            "allows_env": True,
            "config": settings.expression_config,
            "allows_config": True,
        }
    )


NEEDS_RESTART: Final = frozenset(
    {
        *(
            "bind",
            "https_bind",
            "socket_mode",
            "socket_owner",
            "http_port",
            "https_port",
            "admin_bind",
            "admin_port",
        ),
        *("http3", "http3_port"),
        *("admin_api_exposed", "admin_api_subdomain", "admin_api_domains"),
        *("workers", "data", "store", "access_log", "redaction", "log_format"),
        *("throttling_window_s", "limit_counters", "quota_sync_s"),
        *("domain", "wildcard_certificate"),
        *("history_revisions", "history_days", "history_mib"),
        *("bypass_user_rights_check", "backoffice_session_ms", "session_name"),
        *("session_secure_only", "initial_admin_login", "initial_admin_password"),
        *("hide_initial_admin_password", "write_initial_admin_password_to_file"),
        *("initial_admin_password_file", "entity_validators"),
        *("root_ca_ca", "root_ca_cert", "root_ca_key", "root_ca_import_ca", "initial_certs"),
        *("initial_cacert", "initial_cert", "initial_cert_key", "initial_cert_import_ca"),
        *("vaults", "vaults_enabled", "vaults_env_prefix", "vaults_local_root"),
        *("vaults_secrets_ttl_ms", "vaults_secrets_error_ttl_ms", "vaults_cached_secrets"),
        *("vaults_read_timeout_ms", "vaults_parallel_fetches"),
    }
)
"""Settings that a reload cannot change: it says so, and goes on with the old value."""

NEEDS_NEW_WORKERS: Final = frozenset(
    {
        *("plugins", "health_access_key", "metrics_access_key", "engine", "log_level"),
        *("client_auth", "expression_env", "expression_config", "exposed_https_port"),
        *("claim_shared_key", "http2", "h2c", "http3_exposed_port", "unix_targets", "mounts"),
        *("http3_early_data", "stream_bounds", "jq"),
    }
)
"""Settings that a reload changes by replacing the workers one by one."""


def settings_problems(settings: Settings) -> list[Problem]:
    """Return what is wrong with settings as a whole, which no single key shows."""
    problems = listen_problems(settings)
    if settings.workers is not None and not 0 <= settings.workers <= 1024:
        problems.append(
            Problem("$.settings.workers", f"{settings.workers} workers", "choose 0 to 1024")
        )
    if not _DOMAIN.fullmatch(settings.domain):
        problems.append(
            Problem("$.settings.domain", "this is no domain", "write it like oto.tools")
        )
    for name in ("admin_api_subdomain", "admin_api_domains"):
        value: str | tuple[str, ...] = getattr(settings, name)
        given = (value,) if isinstance(value, str) else value
        if not all(_DOMAIN.fullmatch(one) for one in given):
            problems.append(
                Problem(
                    f"$.settings.{name}", "this is no host name", "write it like api.example.com"
                )
            )
    if "unix_targets" in settings.engine:
        where, fix = "$.settings.engine.unix_targets", "write it beside engine, not in it"
        problems.append(Problem(where, "it is a setting of its own", fix))
    for index, path in enumerate(settings.unix_targets):
        if os.path.normpath(path) != path or not path.startswith("/") or path.startswith("//"):
            fix = "write it in full, such as /run/app, without a / at its end"
            where = f"$.settings.unix_targets[{index}]"
            problems.append(Problem(where, f"{path!r} is no whole path", fix))
    wrong_store = None if settings.store is None else store_url_problem(settings.store)
    if wrong_store is not None:
        problems.append(Problem("$.settings.store", *wrong_store))
    problems += _half_pairs(settings)
    if settings.plugins is not None and not Path(settings.plugins).is_dir():
        problems.append(
            Problem(
                "$.settings.plugins",
                f"{settings.plugins} is no folder",
                "make the folder, or leave the setting out",
            )
        )
    return problems


def _half_pairs(settings: Settings) -> list[Problem]:
    """Find certificates that are named without their key, and keys without their certificate."""
    pairs = {
        "root_ca_cert": (settings.root_ca_cert, "root_ca_key", settings.root_ca_key),
        "initial_cert": (settings.initial_cert, "initial_cert_key", settings.initial_cert_key),
    }
    for index, given in enumerate(settings.initial_certs):
        pairs[f"initial_certs[{index}].cert"] = (given.cert, "key", given.key)
    return [
        Problem(
            f"$.settings.{name}",
            "a certificate and its private key go together",
            f"give both, or leave {name} and {other} out",
        )
        for name, (cert, other, key) in pairs.items()
        if (cert is None) != (key is None)
    ]
