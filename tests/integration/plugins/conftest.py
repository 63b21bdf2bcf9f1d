"""What the tests of plugins share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="package", autouse=True)
def noon_at_gateways() -> Generator[None]:
    """Have gateways live where it is noon: no day of a quota ends in the middle of a test, and no month."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", f"TST{datetime.now(UTC).hour - 12:+}")
        yield
