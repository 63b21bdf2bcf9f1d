"""The registry: which plugins this gateway has.

It is a value, made by whoever needs one and owned by it: importing a plugin registers nothing. Three
sources are laid over each other, and the earlier one wins an id:

1. the package ``oto_trio.plugins``, walked file by file;
2. the entry-point group ``oto_trio.plugins`` of installed distributions;
3. a folder of ``*.py`` files (``plugin_api.folder``), which may change while the gateway runs.

A fault in the first is a bug of ours and raises; a fault in the other two leaves that plugin out and is
kept in ``Registry.problems``.

A worker uses few of the built-in plugins. What it makes with ``discover_on_demand`` knows where each one is, by the
name of its file, and loads it when it is first asked for.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import Any, TypeAlias, TypeGuard

import msgspec

from oto_trio.model.errors import Problem
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.inspection import check_plugin, describe
from oto_trio.plugin_api.plugin import Plugin

__all__ = [
    "BUILTIN_PACKAGE",
    "ENTRY_POINT_GROUP",
    "PluginClass",
    "Registry",
    "builtin_plugins",
    "discover",
    "discover_on_demand",
    "plugins_in",
]

BUILTIN_PACKAGE = "oto_trio.plugins"
ENTRY_POINT_GROUP = "oto_trio.plugins"
_BUILTIN = "builtin"

PluginClass: TypeAlias = type[Plugin[Any]]


class _Files:
    """The built-in plugins that are loaded by name: the last part of an id is the name of its file.

    Args:
        package: Walked; its sub-packages are imported, no other module is.
    """

    def __init__(self, package: str) -> None:
        self._modules = {_name_of(info.name).replace("_", ""): info.name for info in _walk(package)}
        self._loaded: dict[str, PluginClass] = {}

    def get(self, plugin_id: str) -> PluginClass | None:
        """Return the class with this id, or ``None``; see `plugins_in` for what it raises."""
        found = self._loaded.get(plugin_id)
        if found is None:
            module = self._modules.get(_name_of(plugin_id))
            if module is not None:
                self._load(module)
                found = self._loaded.get(plugin_id)
        return found

    def names(self) -> Iterable[str]:
        """Return the names of the files, such as they are in `id_of`; loads nothing."""
        return self._modules

    def id_of(self, name: str) -> str | None:
        """Return the id of the plugin in the file of this name, or ``None``; loads no other."""
        module = self._modules.get(name)
        if module is not None:
            self._load(module)
        return next((known for known in self._loaded if _name_of(known) == name), None)

    def all(self) -> Mapping[str, PluginClass]:
        """Load what is not loaded yet, and return every class by its id."""
        for module in self._modules.values():
            self._load(module)
        return self._loaded

    def _load(self, module: str) -> None:
        self._loaded.update((it.id, it) for it in plugins_in(importlib.import_module(module)))


class Registry(msgspec.Struct, frozen=True):
    """The plugins of a gateway, by id. Immutable: every change makes another one.

    Args:
        plugins: The classes by id, without those that are loaded by name.
        origins: Where each of these comes from, by id: ``builtin``, ``entry point NAME`` or a file's path.
        problems: What was left out, and why.
        files: The built-in plugins that are loaded by name, if they are.
    """

    plugins: Mapping[str, PluginClass] = MappingProxyType({})
    origins: Mapping[str, str] = MappingProxyType({})
    problems: tuple[Problem, ...] = ()
    files: _Files | None = None

    def get(self, plugin_id: str) -> PluginClass | None:
        """Return the class with this id, or ``None``."""
        found = self.plugins.get(plugin_id)
        return self.files.get(plugin_id) if found is None and self.files is not None else found

    def __getitem__(self, plugin_id: str) -> PluginClass:
        """Return the class with this id.

        Raises:
            KeyError: There is no such plugin.
        """
        found = self.get(plugin_id)
        if found is None:
            raise KeyError(plugin_id)
        return found

    def __contains__(self, plugin_id: object) -> bool:
        """Tell whether there is a plugin with this id."""
        return isinstance(plugin_id, str) and self.get(plugin_id) is not None

    def __iter__(self) -> Iterator[PluginClass]:
        """Walk the classes in the order of their ids."""
        every = self._every()
        return (every[plugin_id] for plugin_id in sorted(every))

    def __len__(self) -> int:
        """Return how many plugins there are."""
        return len(self._every())

    def _every(self) -> Mapping[str, PluginClass]:
        """Return all of them, which loads those that are not loaded yet."""
        return self.plugins if self.files is None else {**self.files.all(), **self.plugins}

    def hint(self, plugin_id: str) -> str:
        """Say what to do about an id that no plugin has: the nearest one, if any is near."""
        ids = {_name_of(known): known for known in self.plugins}
        # Not by the classes: a worker that loaded them all for one wrong id would answer nobody meanwhile.
        names = {*ids, *(() if self.files is None else self.files.names())}
        for near in get_close_matches(_name_of(plugin_id), names, n=3, cutoff=0.75):
            known = ids.get(near)
            if known is None and self.files is not None:
                known = self.files.id_of(near)
            if known is not None:
                return f"did you mean {known}? Else install it or disable this slot"
        return "install it, put its file in the plugin folder, or disable this slot"

    def describe(self, plugin_id: str) -> dict[str, Any]:
        """Return ``inspection.describe`` of one plugin and its ``origin``.

        Raises:
            KeyError: There is no such plugin.
        """
        return {**describe(self[plugin_id]), "origin": self.origin(plugin_id)}

    def origin(self, plugin_id: str) -> str:
        """Return where a plugin that there is comes from."""
        return self.origins.get(plugin_id, _BUILTIN)

    def read_config(self, plugin_id: str, slot_config: Mapping[str, Any]) -> msgspec.Struct | None:
        """Return the effective config of a slot as the plugin's struct; ``None`` without config.

        Raises:
            KeyError: There is no such plugin.
            PluginError: A value is wrong; paths start at the config (``$.code``).
        """
        struct = self[plugin_id].Config
        return None if struct is None else read_config(struct, slot_config)

    def make(self, plugin_id: str, slot_config: Mapping[str, Any]) -> Plugin[Any]:
        """Make an instance for one slot.

        Raises:
            KeyError: There is no such plugin.
            PluginError: The config is wrong, or the plugin's constructor refuses it.
        """
        return instantiate(self[plugin_id], self.read_config(plugin_id, slot_config))

    def extended(self, found: Iterable[tuple[PluginClass, str]]) -> "Registry":
        """Return a registry with more plugins; an id that is taken stays with its owner.

        Args:
            found: (class, origin) pairs, in order of precedence.
        """
        plugins, origins = dict(self.plugins), dict(self.origins)
        problems = list(self.problems)
        for plugin, origin in found:
            if plugin.id in plugins or plugin.id in self:
                problems.append(_duplicate(plugin, origin, origins.get(plugin.id, _BUILTIN)))
                continue
            plugins[plugin.id] = plugin
            origins[plugin.id] = origin
        return Registry(
            MappingProxyType(plugins), MappingProxyType(origins), tuple(problems), self.files
        )

    def with_problems(self, problems: Iterable[Problem]) -> "Registry":
        """Return the same plugins with more problems on record."""
        return msgspec.structs.replace(self, problems=(*self.problems, *problems))


def instantiate(plugin: PluginClass, config: msgspec.Struct | None) -> Plugin[Any]:
    """Make an instance of a plugin.

    Raises:
        PluginError: The constructor failed.
    """
    try:
        return plugin(config)
    except Exception as error:  # a plugin is foreign code: any error is its own, not ours
        raise PluginError(
            Problem(
                "$",
                f"the plugin {plugin.id} does not take this config: {error}",
                "correct the config, or the plugin's constructor",
            )
        ) from error


def plugins_in(module: ModuleType) -> tuple[PluginClass, ...]:
    """Return the plugin classes *defined* in a module, checked; imported ones are not its own.

    A class whose name begins with an underscore is a base for others and left out.

    Raises:
        PluginError: A class is badly made, or two share an id.
    """
    found: dict[str, PluginClass] = {}
    problems: list[Problem] = []
    for value in vars(module).values():
        if not _is_plugin(value) or value.__module__ != module.__name__:
            continue
        if value.__name__.startswith("_"):
            continue
        wrong = check_plugin(value)
        problems.extend(wrong)
        if not wrong and found.setdefault(value.id, value) is not value:
            problems.append(_duplicate(value, module.__name__, module.__name__))
    if problems:
        raise PluginError(*problems)
    return tuple(found.values())


def builtin_plugins(package: str = BUILTIN_PACKAGE) -> Registry:
    """Walk a package and its sub-packages and return the plugins they define.

    Raises:
        PluginError: A class is badly made, or an id is used twice.
        ImportError: A module of the package cannot be imported.
    """
    registry = Registry()
    for info in _walk(package):
        found = plugins_in(importlib.import_module(info.name))
        registry = registry.extended((plugin, _BUILTIN) for plugin in found)
    if registry.problems:
        raise PluginError(*registry.problems)
    return registry


def discover(points: Iterable[EntryPoint] | None = None) -> Registry:
    """Return the built-in plugins and those of the installed distributions.

    Args:
        points: The entry points to load; those of the group ``oto_trio.plugins`` when left out. Each
            names a module or one class.

    Raises:
        PluginError: A built-in plugin is badly made.
    """
    return _with_distributions(builtin_plugins(), points)


def discover_on_demand(
    points: Iterable[EntryPoint] | None = None, package: str = BUILTIN_PACKAGE
) -> Registry:
    """Return the same plugins as `discover`, the built-in ones not loaded yet.

    A registry that is walked or counted loads them all.

    Args:
        points: See `discover`.
        package: Where the built-in ones are.
    """
    return _with_distributions(Registry(files=_Files(package)), points)


def _name_of(plugin_id: str) -> str:
    """Return the last part of an id in lower case, which is the name of its file, but for what joins words there."""
    return plugin_id.rpartition(".")[2].lower()


def _walk(package: str) -> Iterator[pkgutil.ModuleInfo]:
    """Walk the modules of a package and of its sub-packages; the packages are imported, the modules are not."""
    root = importlib.import_module(package)
    return pkgutil.walk_packages(root.__path__, f"{package}.")


def _with_distributions(registry: Registry, points: Iterable[EntryPoint] | None) -> Registry:
    """Lay the plugins of installed distributions over the built-in ones; see `discover`."""
    if points is None:
        points = entry_points(group=ENTRY_POINT_GROUP)
    for point in sorted(points, key=lambda p: (p.name, p.value)):
        origin = f"entry point {point.name}"
        try:
            found = _load(point)
        except PluginError as error:
            registry = registry.with_problems(error.problems)
        except Exception as error:  # noqa: BLE001 (the import of foreign code may fail in any way)
            reason = f"{type(error).__name__}: {error}"
            fix = f"repair or uninstall the distribution that declares {point.value}"
            registry = registry.with_problems([Problem(origin, reason, fix)])
        else:
            registry = registry.extended((plugin, origin) for plugin in found)
    return registry


def _is_plugin(value: object) -> TypeGuard[PluginClass]:
    """Tell whether a value is a plugin class."""
    return isinstance(value, type) and issubclass(value, Plugin)


def _load(point: EntryPoint) -> tuple[PluginClass, ...]:
    """Load one entry point and return its plugins."""
    target: object = point.load()
    if isinstance(target, ModuleType):
        return plugins_in(target)
    if _is_plugin(target):
        problems = check_plugin(target)
        if problems:
            raise PluginError(*problems)
        return (target,)
    raise PluginError(
        Problem(
            f"entry point {point.name}",
            f"{point.value} is neither a module nor a plugin class",
            "name the module that defines your plugins",
        )
    )


def _duplicate(plugin: PluginClass, origin: str, owner: str) -> Problem:
    """Say that an id is taken."""
    return Problem(
        f"{plugin.__module__}.{plugin.__qualname__}.id",
        f"the id {plugin.id} ({origin}) is already that of another plugin ({owner})",
        "give it an id of its own",
    )
