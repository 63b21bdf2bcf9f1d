"""Configuration files: read, judged key by key, and laid under environment variables and flags.

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

import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from oto_trio.control.config_shape import shape_problem
from oto_trio.control.settings import Settings
from oto_trio.model.errors import Problem
from oto_trio.model.wording import describe_type, json_kind

__all__ = [
    "DECLARABLE",
    "MAX_FILE_BYTES",
    "SUFFIXES",
    "ConfigFile",
    "config_files",
    "read_config_file",
    "with_overrides",
]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""A configuration file larger than this is refused unread."""

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
