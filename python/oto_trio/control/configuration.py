"""Everything `serve` was told, read and judged together: file, environment, flags, quick routes.

It is read at start and again at each SIGHUP, always as a whole: a reload with a fault in it changes
nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from oto_trio.control.checking import check_engine_settings, check_redaction
from oto_trio.control.config_files import read_config_file, with_overrides
from oto_trio.control.credentials import AdminCredentials
from oto_trio.control.declared import Declaration, quick_route, read_declared, unix_targets
from oto_trio.control.environment import Origin, origins, read_environment
from oto_trio.control.settings import NEEDS_NEW_WORKERS, NEEDS_RESTART, Settings, settings_problems
from oto_trio.control.vaults import vault_problems
from oto_trio.model.errors import Problem, SettingsError

__all__ = ["Configuration", "Differences", "Source", "differences"]


class Configuration(msgspec.Struct, frozen=True):
    """What a gateway is started with.

    Attributes:
        settings: The settings.
        declarations: The declared routes and backends.
        credentials: The admin API's key when the environment gives it, else None.
        origins: Where each setting comes from.
        warnings: What is odd, but refuses nothing; of `Source.judge` the errors too.
    """

    settings: Settings
    declarations: list[Declaration]
    credentials: AdminCredentials | None
    origins: dict[str, Origin]
    warnings: list[Problem]


class Source(msgspec.Struct, frozen=True):
    """Where a configuration comes from.

    Attributes:
        file: The configuration file; None when there is none.
        flags: The flags that were given, by the name of their setting.
        quick_routes: The values of `--route`.
        environ: The environment variables.
    """

    file: Path | None = None
    flags: Mapping[str, object] = msgspec.field(default_factory=dict[str, object])
    quick_routes: Sequence[str] = ()
    environ: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def read(self) -> Configuration:
        """Read everything.

        Raises:
            SettingsError: With every problem; paths begin with the file or the flag.
        """
        configuration = self.judge()
        errors = [problem for problem in configuration.warnings if problem.severity == "error"]
        if errors:
            raise SettingsError(errors)
        return configuration

    def judge(self) -> Configuration:
        """Read everything, whatever is wrong with it: `warnings` has the errors too.

        What cannot be used is left out, so a setting has the next weaker value.
        """
        problems: list[Problem] = []
        declarations: list[Declaration] = []
        file = None
        if self.file is not None:
            file = read_config_file(self.file)
            declarations, wrong = read_declared(file)
            problems += [at_file(self.file, p) for p in (*file.problems, *wrong)]
        environment = read_environment(Settings, self.environ)
        problems += environment.problems
        settings, wrong_flags = with_overrides(file, environment.values, self.flags)
        problems += wrong_flags
        from_where = origins(
            Settings,
            file=None if file is None else (str(file.path), file.settings),
            environment=environment,
            flags=self.flags,
        )
        wrong_settings = settings_problems(settings)
        wrong_engine = check_engine_settings(settings.engine_json)
        if wrong_engine is not None:
            fix = "see docs/operations.md for the names and defaults"
            wrong_settings.append(Problem("$.settings.engine", wrong_engine, fix))
        wrong_rules = check_redaction(settings.redaction)
        if wrong_rules is not None:
            fix = "write names with show, strip, hash or mask under headers, query and fields"
            wrong_settings.append(Problem("$.settings.redaction", wrong_rules, fix))
        wrong_settings += vault_problems(settings.all_vaults, "$.settings.vaults")
        problems += [_named(p, from_where) for p in wrong_settings]
        for text in self.quick_routes:
            declaration, wrong = quick_route(text)
            problems += wrong
            if declaration is not None:
                declarations.append(declaration)
        # Who writes the configuration may name any socket; who writes through the admin API may not.
        named = (*settings.unix_targets, *unix_targets(declarations))
        settings = msgspec.structs.replace(settings, unix_targets=tuple(dict.fromkeys(named)))
        return Configuration(settings, declarations, environment.credentials, from_where, problems)


def _named(problem: Problem, from_where: Mapping[str, Origin]) -> Problem:
    """Say of a problem of the settings where the setting comes from."""
    name = problem.path.removeprefix("$.settings.")
    if name.startswith("vaults."):
        # Several variables may have a part of it, so what is wrong is told with its place.
        origin = from_where.get("vaults", "default")
        return msgspec.structs.replace(problem, path=f"{origin}: {problem.path}")
    origin = from_where.get(name, "default")
    if origin.startswith(("--", "$")):
        return msgspec.structs.replace(problem, path=origin)
    where = problem.path if origin == "default" else f"{origin}: {problem.path}"
    return msgspec.structs.replace(problem, path=where)


class Differences(msgspec.Struct, frozen=True):
    """What a reload finds changed.

    Attributes:
        needs_restart: Settings that only a restart changes.
        needs_new_workers: Settings that new workers bring in.
        at_once: Settings that hold from now on.
    """

    needs_restart: list[str]
    needs_new_workers: list[str]
    at_once: list[str]


def differences(before: Settings, after: Settings) -> Differences:
    """Compare two versions of the settings."""
    changed = [
        field.name
        for field in msgspec.structs.fields(Settings)
        if getattr(before, field.name) != getattr(after, field.name)
    ]
    return Differences(
        [name for name in changed if name in NEEDS_RESTART],
        [name for name in changed if name in NEEDS_NEW_WORKERS],
        [name for name in changed if name not in NEEDS_RESTART | NEEDS_NEW_WORKERS],
    )


def at_file(path: Path, problem: Problem) -> Problem:
    """Return a problem of a file's content with the file before its path."""
    return msgspec.structs.replace(problem, path=f"{path}: {problem.path}")
