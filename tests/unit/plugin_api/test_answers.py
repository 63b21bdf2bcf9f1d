"""Answers are values."""

import pytest

from oto_trio.plugin_api import Refusal, Response


def test_defaults() -> None:
    assert Response(204) == Response(204, (), b"")
    assert Refusal(403, "no").cause is None


def test_they_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Response(200).status = 201  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Refusal(400, "x").status = 401  # type: ignore[misc]
