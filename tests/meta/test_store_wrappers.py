"""A store that stands before another one passes on, or guards, every method that a store has.

A new method of `Store` that a wrapper does not know would slip past its scoping or its audit: a default that
reads through other methods is safe only when it was looked at, and is named here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING

import pytest

import oto_trio.control
from oto_trio.control.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE_OF_OTHERS = frozenset({"put", "delete", "walk"})
"""Methods that do nothing but call `transact` and `list` of the store itself, so of the wrapper."""


def _every_store(cls: type[Store] = Store) -> Iterator[type[Store]]:
    for child in cls.__subclasses__():
        yield child
        yield from _every_store(child)


def _wrappers() -> set[type[Store]]:
    """Find the stores of the package that are made with another one."""
    package = oto_trio.control
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # a driver whose library is an extra
            if (error.name or "").partition(".")[0] == "oto_trio":
                raise
    return {
        cls
        for cls in _every_store()
        if cls.__module__.startswith("oto_trio.")
        and any("Store" in str(p.annotation) for p in _parameters(cls, "__init__").values())
    }


def _parameters(cls: type, name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(cls, name)).parameters)


def _methods() -> list[str]:
    return [name for name in vars(Store) if not name.startswith("_")]


WRAPPERS = sorted(_wrappers(), key=lambda cls: cls.__name__)


def test_the_wrappers_are_found() -> None:
    assert {"AuditedStore", "ScopedStore"} <= {cls.__name__ for cls in WRAPPERS}
    assert set(_methods()) >= {"get", "list", "transact", "difference", "load_blobs"}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_has_every_method_of_a_store_itself(wrapper: type[Store]) -> None:
    told = wrapper.__init__.__code__.co_names  # plain attributes are set there
    missing = [name for name in _methods() if name not in vars(wrapper) and name not in told]
    assert set(missing) <= MADE_OF_OTHERS, f"{wrapper.__name__} lets these pass: {missing}"


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_drops_no_argument(wrapper: type[Store]) -> None:
    for name in _methods():
        if callable(vars(Store)[name]):
            wanted, given = _parameters(Store, name), _parameters(wrapper, name)
            assert list(wanted) == list(given), f"{wrapper.__name__}.{name}"


@pytest.mark.parametrize("name", sorted(MADE_OF_OTHERS))
def test_what_is_made_of_others_reaches_for_nothing_else(name: str) -> None:
    code = getattr(Store, name).__code__
    assert not [word for word in code.co_names if word.startswith("_")]
