"""User plugins from a folder: reloaded when they change, kept when they break."""

import gc
import os
import sys
import weakref
from pathlib import Path

import pytest

from oto_trio.plugin_api.folder import (
    MAX_FILE_BYTES,
    MODULE_PREFIX,
    FolderPlugins,
    changed_ids,
    with_folder,
)
from oto_trio.plugin_api.registry import Registry, builtin_plugins

SOURCE = """from typing import Annotated
from msgspec import Meta
from oto_trio.plugin_api import Config, Plugin, Response


class SayConfig(Config, frozen=True):
    word: Annotated[str, Meta(description="What to say.")] = "{word}"


class Say(Plugin[SayConfig]):
    id = "cp:test.{id}"
    name = "Say"
    description = "Says a word."
    categories = ("Other",)

    def pre_route(self, exchange):
        return Response(200, (), self.config.word.encode())
"""


def write(path: Path, word: str = "hi", plugin_id: str = "Say", extra: str = "") -> None:
    """Write a plugin file the way editors do: a new file moved over the old one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(SOURCE.format(word=word, id=plugin_id) + extra)
    fresh.replace(path)


def word_of(folder: FolderPlugins, plugin_id: str = "cp:test.Say") -> str:
    config = with_folder(Registry(), folder).read_config(plugin_id, {})
    return str(getattr(config, "word"))  # noqa: B009 (the class is made while the test runs)


@pytest.fixture
def folder(tmp_path: Path) -> FolderPlugins:
    write(tmp_path / "say.py")
    return FolderPlugins(tmp_path).poll()


def test_a_file_is_loaded_under_a_private_name(folder: FolderPlugins, tmp_path: Path) -> None:
    ((plugin, origin),) = folder.plugins
    assert plugin.id == "cp:test.Say"
    assert origin == str(tmp_path / "say.py")
    assert plugin.__module__.startswith(f"{MODULE_PREFIX}say_")
    assert "say" not in sys.modules
    assert folder.all_problems == ()


def test_nothing_new_is_the_same_value(folder: FolderPlugins) -> None:
    assert folder.poll() is folder


def test_a_changed_file_is_loaded_again_and_the_old_class_lives_on(
    folder: FolderPlugins, tmp_path: Path
) -> None:
    old_instance = with_folder(Registry(), folder).make("cp:test.Say", {})
    old_module = type(old_instance).__module__
    write(tmp_path / "say.py", word="ho")
    after = folder.poll()
    assert word_of(after) == "ho"
    assert changed_ids(folder, after) == {"cp:test.Say"}
    assert old_instance.config.word == "hi"
    assert old_module not in sys.modules
    assert after.poll() is after


def test_old_code_is_freed_when_nobody_uses_it(tmp_path: Path) -> None:
    write(tmp_path / "say.py")
    folder = FolderPlugins(tmp_path).poll()
    old = weakref.ref(next(folder.plugins)[0])
    write(tmp_path / "say.py", word="ho")
    folder = folder.poll()
    gc.collect()
    assert old() is None


def test_a_file_that_is_touched_but_not_changed_keeps_its_class(
    folder: FolderPlugins, tmp_path: Path
) -> None:
    os.utime(tmp_path / "say.py", ns=(1, 1))
    after = folder.poll()
    assert changed_ids(folder, after) == frozenset()
    assert after.poll() is after


def test_a_change_within_one_tick_of_the_clock_is_seen(
    folder: FolderPlugins, tmp_path: Path
) -> None:
    path = tmp_path / "say.py"
    stat = path.stat()
    write(path, word="ho")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert word_of(folder.poll()) == "ho"


@pytest.mark.parametrize(
    ("extra", "line", "message"),
    [
        ("    name: str = ''\n", 18, "a plugin needs this text"),
        ("    async def lower(self): ...\n", 18, "lower cannot wait"),
        ("def broken(:\n", 18, "SyntaxError"),
        ("\n1 / 0\n", 19, "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", 19, "SystemExit: 3"),
        ("    def acess(self, exchange): ...\n", 18, "acess is no hook"),
        ("    name = ''\n", 18, "a plugin needs this text"),
        ("\nclass Two(Say):\n    pass\n", 19, "the id cp:test.Say"),
    ],
)
def test_a_broken_file_keeps_the_old_class_and_says_why(
    folder: FolderPlugins, tmp_path: Path, extra: str, line: int, message: str
) -> None:
    before = set(sys.modules)
    write(tmp_path / "say.py", word="ho", extra=extra)
    after = folder.poll()
    assert word_of(after) == "hi"
    assert changed_ids(folder, after) == frozenset()
    (problem,) = after.all_problems
    assert problem.path == f"{tmp_path / 'say.py'}:{line}"
    assert problem.message.startswith(message)
    assert problem.fix
    assert after.poll() is after, "a broken file is not loaded again and again"
    assert set(sys.modules) == before

    write(tmp_path / "say.py", word="hu")
    mended = after.poll()
    assert word_of(mended) == "hu"
    assert mended.all_problems == ()


def test_a_broken_file_that_goes_back_to_the_last_good_version_is_good_again(
    folder: FolderPlugins, tmp_path: Path
) -> None:
    write(tmp_path / "say.py", extra="1 / 0\n")
    broken = folder.poll()
    assert broken.all_problems
    write(tmp_path / "say.py")
    assert broken.poll().all_problems == ()
    assert word_of(broken.poll()) == "hi"


def test_old_code_that_no_longer_loads_is_still_the_last_good_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    condition = "import os\nassert 'BROKEN' not in os.environ\n"
    write(tmp_path / "say.py", extra=condition)
    good = FolderPlugins(tmp_path).poll()
    write(tmp_path / "say.py", extra="1 / 0\n")
    broken = good.poll()
    monkeypatch.setenv("BROKEN", "1")
    write(tmp_path / "say.py", extra=condition)
    after = broken.poll()
    assert "AssertionError" in after.all_problems[0].message
    ((plugin, _),) = after.plugins
    assert plugin is next(good.plugins)[0]
    assert plugin.__module__ in sys.modules


def test_a_new_file_that_is_broken_defines_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("x = ")
    folder = FolderPlugins(tmp_path).poll()
    assert list(folder.plugins) == []
    assert len(folder.all_problems) == 1


def test_a_file_without_plugin_says_so(tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text("x = 1\n")
    (problem,) = FolderPlugins(tmp_path).poll().all_problems
    assert problem.message == "the file defines no plugin"


def test_files_come_and_go(folder: FolderPlugins, tmp_path: Path) -> None:
    write(tmp_path / "more.py", plugin_id="More")
    more = folder.poll()
    assert changed_ids(folder, more) == {"cp:test.More"}
    (tmp_path / "say.py").unlink()
    less = more.poll()
    assert changed_ids(more, less) == {"cp:test.Say"}
    assert [plugin.id for plugin, _ in less.plugins] == ["cp:test.More"]


def test_hidden_private_and_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in (".say.py", "_say.py", "say.txt", "__init__.py"):
        (tmp_path / name).write_text("1 / 0")
    folder = FolderPlugins(tmp_path)
    assert folder.poll() is folder


def test_a_file_too_large_is_refused_unread(folder: FolderPlugins, tmp_path: Path) -> None:
    write(tmp_path / "say.py", extra="#" * MAX_FILE_BYTES)
    after = folder.poll()
    assert word_of(after) == "hi"
    assert "larger than" in after.all_problems[0].message
    write(tmp_path / "say.py")
    assert after.poll().all_problems == ()


def test_a_folder_that_goes_away_keeps_what_was_loaded(tmp_path: Path) -> None:
    place = tmp_path / "plugins"
    place.mkdir()
    write(place / "say.py")
    folder = FolderPlugins(place).poll()
    place.rename(tmp_path / "elsewhere")
    gone = folder.poll()
    assert word_of(gone) == "hi"
    assert "cannot be read" in gone.all_problems[0].message
    assert gone.poll() is gone
    (tmp_path / "elsewhere").rename(place)
    assert gone.poll().all_problems == ()


def test_an_unreadable_file_is_reported_once(folder: FolderPlugins, tmp_path: Path) -> None:
    path = tmp_path / "say.py"
    path.unlink()
    path.symlink_to(path)  # a loop: stat fails, whoever asks
    after = folder.poll()
    assert word_of(after) == "hi"
    assert "cannot be read" in after.all_problems[0].message
    assert after.poll() is after


def test_a_link_that_points_nowhere_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "say.py").symlink_to(tmp_path / "nowhere.py")
    folder = FolderPlugins(tmp_path)
    assert folder.poll() is folder


def test_two_files_with_one_id_leave_it_to_the_first(folder: FolderPlugins, tmp_path: Path) -> None:
    write(tmp_path / "tell.py", word="second")
    registry = with_folder(Registry(), folder.poll())
    assert registry.origins["cp:test.Say"] == str(tmp_path / "say.py")
    assert len(registry.problems) == 1


def test_a_built_in_plugin_cannot_be_replaced(folder: FolderPlugins, tmp_path: Path) -> None:
    source = (tmp_path / "say.py").read_text()
    taken = "cp:otoroshi.next.plugins.OverrideHost"
    (tmp_path / "say.py").write_text(source.replace("cp:test.Say", taken))
    registry = with_folder(builtin_plugins(), folder.poll())
    assert registry.origins[taken] == "builtin"
    assert "is already that of another plugin" in registry.problems[0].message


def test_annotations_as_text_are_resolved(tmp_path: Path) -> None:
    source = "from __future__ import annotations\n" + SOURCE.format(word="hi", id="Say")
    (tmp_path / "say.py").write_text(source)
    folder = FolderPlugins(tmp_path).poll()
    assert folder.all_problems == ()
    assert word_of(folder) == "hi"
