"""What the tests of the admin API share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oto_trio.testing.admin_api import ServedAdminApi, serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@pytest.fixture
async def served() -> AsyncGenerator[ServedAdminApi]:
    """An admin API over an empty store; modules whose gateway says more of entities have their own."""
    async with serving_admin_api() as api:
        yield api
