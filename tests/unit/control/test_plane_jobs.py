"""Which jobs the control plane runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from oto_trio.control.certificates import CertificateStore
from oto_trio.control.plane import ControlPlane
from oto_trio.control.settings import Settings
from oto_trio.control.store import MemoryStore


@pytest.mark.parametrize("node", ["", "a"])
async def test_a_gateway_on_a_shared_store_renews_its_lease(node: str) -> None:
    async with MemoryStore() as store:
        plane: Any = SimpleNamespace(
            node=node,
            _store=store,
            _certificates=CertificateStore(store),
            _settings=Settings(),
            _alert_of_certificate=print,
            exporting=None,
            has_https=False,
        )
        whole = cast("ControlPlane", plane)
        first = ControlPlane._first_certificates(whole)  # pyright: ignore[reportPrivateUsage]
        jobs = ControlPlane._jobs(whole, first)  # pyright: ignore[reportPrivateUsage]
        leases = [job for job in jobs if job.name == "admin key lease"]
        assert len(leases) == len(node)
        for job in leases:
            await job.run()
            assert len(await store.load_blobs(f"installation-key-lease:{node}")) == 1
