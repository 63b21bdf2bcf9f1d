"""A store that the command line names, opened without a gateway: of a data folder, a file, a URL or a variable."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click
import msgspec
import trio

from oto_trio.app import STORE_FILE
from oto_trio.control.store.opening import open_store, store_url_problem
from oto_trio.control.store.sqlite import SqliteStore
from oto_trio.model.errors import StoreError
from oto_trio.plugin_api.folder import FolderPlugins, with_folder
from oto_trio.plugin_api.registry import discover

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oto_trio.control.store.whole import CopiedStore
    from oto_trio.plugin_api.registry import Registry

__all__ = [
    "PLUGINS",
    "STORES",
    "VARIABLE",
    "StoreAtRest",
    "data_option",
    "is_store_url",
    "named",
    "run_expecting",
    "store_at_rest",
]

VARIABLE: Final = "env:"
"""What a place begins with that is named by an environment variable."""

STORES: Final = "a data folder, the file of an embedded store, the URL of a store, or env:NAME"

T = TypeVar("T")

data_option: Final = click.option(
    "--data",
    metavar="STORE",
    help="Use a store without its gateway: a data folder, the file of an embedded store, a URL as "
    "`serve` takes it, or env:NAME for the variable that holds one with a password.",
)
"""The option of commands that read a store at rest."""

PLUGINS: Final = click.option(
    "--plugins",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of user plugins, for a store without its gateway.  [default: plugins in the data folder]",
)


class StoreAtRest(msgspec.Struct, frozen=True):
    """A store that is opened here, without a gateway.

    Attributes:
        place: Its file, or its URL, which may hold a password.
        shown: What to call it before it is open; never with a password.
        plugins: The folder of user plugins beside it, or the one that was given; None = there is none.
    """

    place: str | Path
    shown: str
    plugins: Path | None = None

    async def open(self) -> CopiedStore:
        """Open it; use it as a context manager.

        Raises:
            StoreError: It cannot be opened.
        """
        if isinstance(self.place, Path):
            return await SqliteStore.open(self.place)
        return cast("CopiedStore", await open_store(self.place, Path(STORE_FILE)))

    def run(
        self,
        use: Callable[[CopiedStore], Awaitable[T]],
        *expected: type[Exception],
        running: str = "",
    ) -> T:
        """Open it, use it, and close it.

        Args:
            use: What to do with it.
            expected: Exceptions of its own that `use` may raise.
            running: What to do when a running gateway holds an embedded store.

        Raises:
            ClickException: The store cannot be used.
            Exception: One of those expected.
        """

        async def main() -> T:
            async with await self.open() as store:
                return await use(store)

        return self.tell(main, *expected, running=running)

    def tell(
        self, main: Callable[[], Awaitable[T]], *expected: type[Exception], running: str = ""
    ) -> T:
        """Run what opens it; of a failure of the store tell what to do. See `run`."""
        try:
            return run_expecting(main, *expected)
        except StoreError as error:
            hint = f"\n{running}" if running and isinstance(self.place, Path) else ""
            raise click.ClickException(f"{error}{hint}") from None

    def registry(self) -> Registry:
        """Return the plugins that there are, with those of its folder."""
        registry = discover()
        if self.plugins is not None:
            registry = with_folder(registry, FolderPlugins(self.plugins).poll())
        return registry


def is_store_url(text: str) -> bool:
    """Tell the URL of a store from the path of a file or folder."""
    return "://" in text


def named(place: str) -> str:
    """Return a place; the value of a variable for one that is named by it.

    Raises:
        UsageError: There is no such variable.
    """
    if not place.startswith(VARIABLE):
        return place
    name = place.removeprefix(VARIABLE)
    value = os.environ.get(name)
    if not value:
        raise click.UsageError(f"the environment variable {name} is not set")
    return value


def store_at_rest(
    text: str, *, called: str, is_there: bool = True, plugins: Path | None = None
) -> StoreAtRest:
    """Find the store that a word of the command line names.

    Args:
        text: A data folder, the file of an embedded store, a URL, or ``env:`` and the name of a variable.
        called: What the command line calls it, for errors.
        is_there: Whether the file of an embedded store must be there.
        plugins: Folder of user plugins; None = the one in the data folder, if there is one.

    Raises:
        UsageError: The text names none.
        ClickException: There is no such file.
    """
    value = named(text)
    if is_store_url(value):
        problem = store_url_problem(value)
        if problem is not None:
            raise click.UsageError(f"{called}: {'; '.join(problem)}")
        scheme = value.partition("://")[0].lower()
        if scheme == "memory":
            raise click.UsageError(f"{called}: memory:// keeps nothing; name a store that does")
        shown = text if text.startswith(VARIABLE) else f"{scheme}://…"
        return StoreAtRest(value, shown, plugins)
    path = Path(value)
    path = path / STORE_FILE if path.is_dir() or not path.suffix else path
    if is_there and not path.is_file():
        raise click.ClickException(f"{called}: there is no store at {path}; name {STORES}")
    beside = path.parent / "plugins"
    if plugins is None and beside.is_dir():
        plugins = beside
    return StoreAtRest(path, str(Path(value)), plugins)


def run_expecting(main: Callable[[], Awaitable[T]], *expected: type[Exception]) -> T:
    """Run something on Trio; an error of the store, or one that is expected, is taken out of its group.

    Raises:
        StoreError: The store cannot be used.
        ClickException: As `main` raises it.
        Exception: One of those expected.
    """
    kinds = (StoreError, click.ClickException, *expected)
    try:
        return trio.run(partial(_awaited, main))
    except ExceptionGroup as group:
        first = _first(group, kinds)
        if first is None:
            raise
        raise first from None


async def _awaited(main: Callable[[], Awaitable[T]]) -> T:
    return await main()


def _first(group: ExceptionGroup[Any], kinds: tuple[type[Exception], ...]) -> Exception | None:
    """Return the first error in a group that is of one of the kinds."""
    ours = group.subgroup(kinds)
    while ours is not None:
        first = ours.exceptions[0]
        if not isinstance(first, ExceptionGroup):
            return first
        ours = cast("ExceptionGroup[Exception]", first)
    return None
