"""What the tests in memory share."""

from collections.abc import Generator

import pytest

from oto_trio.jq import checking


@pytest.fixture(scope="session", autouse=True)
def patient_checks_of_filters() -> Generator[None]:
    """Let filters take as long to compile as a busy machine needs; who tests the bounds sets them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checking, "CHECK_S", 60.0)
        patched.setattr(checking, "DOCUMENT_S", 60.0)
        yield
