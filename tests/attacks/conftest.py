"""One gateway for all attacks: each of them has to leave it as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.attacks.site import Site, attacked_site

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    """A gateway with one worker, its backends, and the price of an honest request."""
    with attacked_site(tmp_path_factory.mktemp("attacked")) as running:
        yield running
