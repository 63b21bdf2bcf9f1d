"""User plugins from a folder, reloaded when a file changes.

Theory of operation
-------------------
``poll_folder`` looks at the folder and at what it found the last time, and returns what there is now;
the task that calls it again and again belongs to the worker. The result is a value: a worker that polls
and gets the *same object* back has nothing to do. Otherwise it lays ``plugins`` over its registry
(``with_folder``) and compiles the routes that use ``changed_ids(before, after)`` again. Exchanges in
flight keep the instances of the old classes, which live as long as somebody refers to them.

A file counts as changed when its stamp (inode, size, times) and then its hash differ. Its new code is
run under a private module name that holds the hash, so old and new never mix. When it cannot be
loaded, the classes of the last good version stay and a `Problem` says why, with file and line; the
file is tried again when it changes again.

What is in the folder is code that runs with the rights of the gateway.
"""

import ast
import hashlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType

import msgspec

from oto_trio.model.errors import Problem
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.registry import PluginClass, Registry, plugins_in

__all__ = ["FolderPlugins", "PluginFile", "changed_ids", "poll_folder", "with_folder"]

MODULE_PREFIX = "_oto_trio_folder_plugin_"
MAX_FILE_BYTES = 1024 * 1024
"""A plugin file larger than this is refused unread: it is no plugin."""

Stamp = tuple[int, int, int, int]


class PluginFile(msgspec.Struct, frozen=True):
    """One file of the folder and the last good code that came out of it.

    Args:
        stamp: (inode, size, mtime ns, ctime ns) when it was last read.
        digest: SHA-256 of the content that was last read, good or not.
        plugins: The classes of the last good version; empty when there never was one.
        module: The private name of the module they are defined in; ``""`` when there is none.
        problems: Why the present content was not taken; empty when it was.
    """

    stamp: Stamp
    digest: str
    plugins: tuple[PluginClass, ...] = ()
    module: str = ""
    problems: tuple[Problem, ...] = ()


class FolderPlugins(msgspec.Struct, frozen=True):
    """What a folder held when it was last looked at.

    Args:
        folder: The folder.
        files: Its plugin files by path.
        problems: Faults of the folder itself; those of a file are in the file.
    """

    folder: Path
    files: Mapping[str, PluginFile] = MappingProxyType({})
    problems: tuple[Problem, ...] = ()

    def poll(self) -> "FolderPlugins":
        """Return what the folder holds now; ``self`` when nothing changed. See ``poll_folder``."""
        return poll_folder(self)

    @property
    def plugins(self) -> Iterator[tuple[PluginClass, str]]:
        """Every class with the path of its file, in the order of the file names."""
        return ((p, path) for path in sorted(self.files) for p in self.files[path].plugins)

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """The faults of the folder and of each file."""
        of_files = (p for path in sorted(self.files) for p in self.files[path].problems)
        return (*self.problems, *of_files)


def with_folder(registry: Registry, folder: FolderPlugins) -> Registry:
    """Lay the plugins of a folder over a registry; an id that is taken stays with its owner."""
    return registry.extended(folder.plugins).with_problems(folder.all_problems)


def changed_ids(before: FolderPlugins, after: FolderPlugins) -> frozenset[str]:
    """Return the ids whose class is another one, came or went between two looks."""
    old = {plugin.id: plugin for plugin, _ in before.plugins}
    new = {plugin.id: plugin for plugin, _ in after.plugins}
    return frozenset(i for i in old.keys() | new.keys() if old.get(i) is not new.get(i))


def poll_folder(before: FolderPlugins) -> FolderPlugins:
    """Look at a folder again and load what is new or changed.

    Args:
        before: What was found the last time; ``FolderPlugins(folder)`` the first time.

    Returns:
        ``before`` itself when nothing changed.

    Cost: One ``stat`` a file when nothing changed. Blocks on the disk, and runs the new code.
    """
    files: dict[str, PluginFile] = {}
    problems: tuple[Problem, ...] = ()
    try:
        paths = sorted(_plugin_paths(before.folder))
    except OSError as error:
        problem = Problem(
            str(before.folder),
            f"the plugin folder cannot be read: {error.strerror}",
            "make the folder, or let the gateway's user read it",
        )
        # What was loaded stays: an unmounted disk must not open or close routes.
        files, problems, paths = dict(before.files), (problem,), []
    for path in paths:
        file = _look(path, before.files.get(path))
        if file is not None:
            files[path] = file
    unchanged = (
        problems == before.problems
        and files.keys() == before.files.keys()
        and all(files[path] is before.files[path] for path in files)
    )
    if unchanged:
        return before
    for path, file in before.files.items():
        still = files.get(path)
        if file.module and (still is None or still.module != file.module):
            sys.modules.pop(file.module, None)
    return FolderPlugins(before.folder, MappingProxyType(files), problems)


def _plugin_paths(folder: Path) -> Iterator[str]:
    """Walk the files that hold plugins: ``*.py``, but not hidden or private ones."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py") and not entry.name.startswith((".", "_")):
                yield entry.path


def _look(path: str, known: PluginFile | None) -> PluginFile | None:
    """Return the file as it is now: ``known`` when unchanged, ``None`` when it is gone."""
    try:
        stat = Path(path).stat()
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if known is not None and known.stamp == stamp:
            return known
        if stat.st_size > MAX_FILE_BYTES:
            text = f"the file is larger than {MAX_FILE_BYTES} bytes"
            return _refused(known, stamp, "", Problem(path, text, "write a smaller plugin"))
        source = Path(path).read_bytes()
    except FileNotFoundError:
        return None  # deleted between the listing and now
    except OSError as error:
        text = f"the file cannot be read: {error.strerror}"
        problem = Problem(path, text, "let the gateway's user read it")
        if known is not None and known.problems == (problem,):
            return known
        return _refused(known, (0, 0, 0, 0), "", problem)
    digest = hashlib.sha256(source).hexdigest()
    if known is not None and known.digest == digest:
        return msgspec.structs.replace(known, stamp=stamp)
    try:
        name, plugins = _load(path, source, digest)
    except PluginError as error:
        return _refused(known, stamp, digest, *error.problems)
    return PluginFile(stamp, digest, plugins, name)


def _refused(known: PluginFile | None, stamp: Stamp, digest: str, *problems: Problem) -> PluginFile:
    """Keep the last good code of a file whose present content is not taken."""
    kept = known or PluginFile(stamp, digest)
    return msgspec.structs.replace(kept, stamp=stamp, digest=digest, problems=problems)


def _load(path: str, source: bytes, digest: str) -> tuple[str, tuple[PluginClass, ...]]:
    """Run a plugin file and return its module's private name and its classes.

    Raises:
        PluginError: The code is broken or defines no good plugin; paths are ``file:line``.
    """
    # No dot in the name: it is one module, whatever its file is called.
    stem = re.sub(r"\W", "_", Path(path).stem)
    name = f"{MODULE_PREFIX}{stem}_{digest[:16]}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=path)
    assert spec is not None, "a module without loader always has a spec"
    module: ModuleType = importlib.util.module_from_spec(spec)
    module.__file__ = path
    before = sys.modules.get(name)
    # msgspec and dataclasses look a class's module up by name while the class is being made.
    sys.modules[name] = module
    try:
        # The bytes that were hashed are the bytes that run, so a reload never mixes two versions.
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 (that is the feature)
        plugins = plugins_in(module)
    except PluginError as error:
        _forget(name, before)
        raise PluginError(*(_at_line(p, path, source) for p in error.problems)) from error
    except (Exception, SystemExit) as error:
        _forget(name, before)
        text = f"{type(error).__name__}: {error}"
        where = f"{path}:{_line_of(error, path)}"
        raise PluginError(
            Problem(where, text, "correct the file; the last good version stays")
        ) from error
    if not plugins:
        _forget(name, before)
        raise PluginError(
            Problem(
                path,
                "the file defines no plugin",
                "write a class that derives from Plugin, or begin the file's name with _",
            )
        )
    return name, plugins


def _forget(name: str, before: ModuleType | None) -> None:
    """Undo the entry of a module that did not load."""
    sys.modules.pop(name, None)
    if before is not None:
        sys.modules[name] = before


def _line_of(error: BaseException, path: str) -> int:
    """Return the line of the file an error comes from; 1 when it names none."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 1
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path and frame.lineno]
    return lines[-1] if lines else 1


def _at_line(problem: Problem, path: str, source: bytes) -> Problem:
    """Turn a problem of a class (``module.Class.member``) into one of the file (``file:line``)."""
    class_name, _, member = problem.path.partition(".")[2].partition(".")
    line = 1
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            line = node.lineno
            for inner in node.body:
                if member in _names_of(inner):
                    line = inner.lineno
    return msgspec.structs.replace(problem, path=f"{path}:{line}")


def _names_of(statement: ast.stmt) -> list[str]:
    """Return the names that a statement in a class body defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []
