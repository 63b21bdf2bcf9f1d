"""What the tests of this room share."""

from collections.abc import Iterator

import pytest

from oto_trio.testing.scripted_engine import ScriptedEngine


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    engine = ScriptedEngine()
    yield engine
    engine.stop()
