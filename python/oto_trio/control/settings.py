"""Static settings: what `oto-trio serve` is started with, and how a configuration file says it.

A configuration file is YAML, JSON or TOML, by its name::

    settings:
      http_port: 8080
      workers: 2
      engine: {head_timeout_s: 5}
    routes:
      - name: users
        frontend: api.localhost/users
        backend: http://127.0.0.1:9000
    backends: []

`settings` are the flags of `serve` by name, and what is too rare for a flag; a flag wins over an environment variable
(`environment`), and that over the file.
`routes` and `backends` are entities in Otoroshi's JSON, with a few short forms (see `declared`).

Reading never stops at the first fault: every problem is gathered, with its path and a fix.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta

from oto_trio.control.admin_settings import SECRET
from oto_trio.control.config_shape import shape_problem
from oto_trio.control.listen_settings import ListenSettings, listen_problems
from oto_trio.control.store.opening import store_url_problem
from oto_trio.jq import JqBounds
from oto_trio.model.errors import Problem
from oto_trio.model.wording import describe_type, json_kind

__all__ = [
    "MAX_FILE_BYTES",
    "NEEDS_NEW_WORKERS",
    "NEEDS_RESTART",
    "SECRET",
    "ConfigFile",
    "InitialCertificate",
    "Settings",
    "config_files",
    "expression_settings",
    "read_config_file",
    "settings_problems",
    "with_overrides",
]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""A configuration file larger than this is refused unread."""

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
        str | None, Meta(description="file for one JSON line an exchange; - is standard output")
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

DECLARABLE: Final = (
    *("backends", "certificates", "jwt-verifiers", "apikeys", "data-exporters", "routes"),
)
"""The sections of a configuration file that declare entities, in the order in which they are read.

Every other kind of the admin API may be declared too; its table is only looked at when a file does, for
it brings the whole admin API in.
"""

SUFFIXES: Final = (".yaml", ".yml", ".json", ".toml")
"""How the name of a configuration file may end."""


class ConfigFile(msgspec.Struct, frozen=True):
    """A configuration file, read but not yet judged as a whole.

    Attributes:
        path: Where it is.
        settings: What it says under `settings`, key by key, valid ones only.
        entities: Its entities as they stand there, by section (`DECLARABLE`, and others it has).
        problems: What is wrong with it; paths start with `$`, of a folder with the file's name.
        places: Of a folder, where each of the entities stands, by section.
    """

    path: Path
    settings: dict[str, Any]
    entities: dict[str, list[object]]
    problems: list[Problem]
    places: dict[str, list[str]] = msgspec.field(default_factory=dict[str, list[str]])

    def place(self, section: str, index: int) -> str:
        """Say where an entity stands: `$.routes[0]`, of a folder `routes/a.yaml: $.routes[0]`."""
        listed = self.places.get(section)
        return f"$.{section}[{index}]" if listed is None else listed[index]


def read_config_file(path: Path) -> ConfigFile:
    """Read a configuration file, or all files of a folder as one.

    Of a folder every file below it counts whose name ends in one of `SUFFIXES`; hidden ones do not. Its
    files are read in the order of their names, and a setting may stand in one of them only.

    Never raises: what is wrong is in its `problems`.
    """
    return _read_folder(path) if path.is_dir() else _read_file(path)


def _read_file(path: Path) -> ConfigFile:
    """Read one file."""
    problems: list[Problem] = []
    document = _document(path, problems)
    sections: tuple[str, ...] = ("settings", *DECLARABLE)
    others = [key for key in document if key not in sections]
    if others:
        known = _other_sections()
        sections += known
        problems += [_unknown_key("$", key, sections) for key in others if key not in known]
    settings: dict[str, Any] = {}
    raw: object = document.get("settings") or {}
    if isinstance(raw, dict):
        settings, wrong = _checked(cast("dict[str, object]", raw), "$.settings")
        problems += wrong
    else:
        problems.append(Problem("$.settings", "expected an object", "write settings by name"))
    entities: dict[str, list[object]] = {}
    for kind in (*DECLARABLE, *(key for key in others if key in sections)):
        listed: object = document.get(kind) or []
        if isinstance(listed, list):
            entities[kind] = cast("list[object]", listed)
        else:
            entities[kind] = []
            problems.append(Problem(f"$.{kind}", "expected a list", f"write a list of {kind}"))
    return ConfigFile(path, settings, entities, problems)


def _other_sections() -> tuple[str, ...]:
    """Return the kinds of the admin API that `DECLARABLE` does not name."""
    from oto_trio.control.admin_api.resources import (  # noqa: PLC0415 (see DECLARABLE)
        LEGACY_RESOURCES,
    )

    return tuple(each.plural for each in LEGACY_RESOURCES if each.plural not in DECLARABLE)


def _read_folder(folder: Path) -> ConfigFile:
    """Read the files below a folder as if they were one."""
    whole = ConfigFile(folder, {}, {kind: [] for kind in DECLARABLE}, [])
    places: dict[str, list[str]] = {}
    for path in config_files(folder):
        name = path.relative_to(folder).as_posix()
        file = _read_file(path)
        whole.problems.extend(
            msgspec.structs.replace(problem, path=f"{name}: {problem.path}")
            for problem in file.problems
        )
        for key, value in file.settings.items():
            if key in whole.settings:
                where, fix = f"{name}: $.settings.{key}", "keep it in one file"
                whole.problems.append(Problem(where, "another file has this setting too", fix))
            whole.settings[key] = value
        for section, found in file.entities.items():
            whole.entities.setdefault(section, []).extend(found)
            places.setdefault(section, []).extend(
                f"{name}: {file.place(section, index)}" for index in range(len(found))
            )
    return msgspec.structs.replace(whole, places=places)


def config_files(folder: Path) -> list[Path]:
    """Return the configuration files below a folder, in the order of their names."""
    found = (path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    shown = (
        path
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return sorted(shown, key=lambda path: path.relative_to(folder).as_posix())


def with_overrides(
    file: ConfigFile | None, environment: Mapping[str, object], flags: Mapping[str, object]
) -> tuple[Settings, list[Problem]]:
    """Lay flags over environment variables over a file over the defaults.

    Args:
        file: The configuration file; None when there is none.
        environment: The valid settings from environment variables, by name.
        flags: The flags that were given, by the name of their setting.

    Returns:
        The settings, and what is wrong with the flags; paths name them (`--http-port`).
    """
    checked, problems = _checked(flags, "$")
    named = [
        msgspec.structs.replace(p, path="--" + p.path.removeprefix("$.").replace("_", "-"))
        for p in problems
    ]
    in_file = file.settings if file else {}
    values: dict[str, Any] = {**in_file, **environment, **checked}
    if "vaults" in in_file and "vaults" in environment:
        # A variable names one vault; it takes no other one away.
        values["vaults"] = {**in_file["vaults"], **cast("dict[str, Any]", environment["vaults"])}
    return Settings(**values), named


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


def _document(path: Path, problems: list[Problem]) -> dict[str, object]:
    """Decode a file by the end of its name; an empty object when it cannot be."""
    readers: dict[str, Callable[[bytes], Any]] = {
        ".json": msgspec.json.decode,
        ".yaml": msgspec.yaml.decode,
        ".yml": msgspec.yaml.decode,
        ".toml": lambda text: tomllib.loads(text.decode()),
    }
    reader = readers.get(path.suffix)
    if reader is None:
        problems.append(
            Problem(
                "$",
                f"{path.suffix or 'a name without an end'} is no form of a configuration file",
                "name it .yaml, .json or .toml",
            )
        )
        return {}
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            problems.append(
                Problem("$", f"larger than {MAX_FILE_BYTES} bytes", "use the admin API for so much")
            )
            return {}
        document: object = reader(path.read_bytes())
    except OSError as error:
        problems.append(Problem("$", f"cannot be read: {error.strerror}", "check the path"))
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        text = " ".join(str(error).split())
        problems.append(Problem("$", f"is not {path.suffix[1:]}: {text}", "correct the file"))
        return {}
    wrong = shape_problem(document)
    if wrong is not None:
        problems.append(wrong)
    if wrong is not None or document is None:
        return {}
    return {str(key): value for key, value in cast("dict[object, object]", document).items()}


def _checked(raw: Mapping[str, object], path: str) -> tuple[dict[str, Any], list[Problem]]:
    """Check settings one by one; return the good ones and what is wrong with the others."""
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in raw.items():
        field = fields.get(key)
        if field is None:
            problems.append(_unknown_key(path, key, tuple(fields)))
            continue
        try:
            values[key] = msgspec.convert(value, field.type)
        except msgspec.ValidationError as error:
            problems.append(Problem(f"{path}.{key}", _reason(error, field, value), _described(key)))
    return values, problems


def _reason(error: msgspec.ValidationError, field: msgspec.structs.FieldInfo, value: object) -> str:
    """Say in words what is wrong with a value; what is wrong deeper in it, or a bound, in msgspec's."""
    text = str(error)
    if (", got" in text or "enum" in text) and " - at" not in text:
        return f"expected {describe_type(field.type)}, found {json_kind(value)}"
    return _first_lower(text)


def _unknown_key(path: str, key: str, known: tuple[str, ...]) -> Problem:
    """Say that a key is unknown, and which one may be meant."""
    close = get_close_matches(key, known, n=1)
    fix = f"write {close[0]}" if close else f"use one of {', '.join(sorted(known))}"
    return Problem(f"{path}.{key}", "there is no such key", fix)


def _described(key: str) -> str:
    """Say what a setting takes, from its description and default."""
    schema: dict[str, Any] = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"][key]
    description: str = schema.get("description", key)
    default = msgspec.json.encode(schema.get("default")).decode()
    return f"{description} (default {default})"


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]
