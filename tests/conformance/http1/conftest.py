"""Every test of this folder must leave no socket and no readiness set open."""

import gc
from collections.abc import Iterator

import pytest

from tests.conformance.http1.descriptors import open_sockets

passed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if call.when == "call":
        item.stash[passed] = call.excinfo is None
    return report


@pytest.fixture(autouse=True)
def no_socket_is_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    before = open_sockets()
    yield
    if open_sockets() - before:
        gc.collect()
    # A failure's traceback keeps alive what its frames hold.
    assert not request.node.stash[passed] or open_sockets() - before == set()
