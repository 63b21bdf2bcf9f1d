"""The error of a plugin that cannot be used."""

import pytest

from oto_trio.model.errors import ERROR_CODES, Problem
from oto_trio.plugin_api import PluginError


def test_it_lists_every_problem() -> None:
    problems = (Problem("$.a", "wrong", "do x"), Problem("$.b", "bad", "do y"))
    error = PluginError(*problems)
    assert error.problems == problems
    assert str(error) == "$.a: wrong; do x\n$.b: bad; do y"


def test_it_is_in_the_catalogue_and_never_empty() -> None:
    assert ERROR_CODES["invalid_plugin"] is PluginError
    with pytest.raises(AssertionError, match="at least one"):
        PluginError()
