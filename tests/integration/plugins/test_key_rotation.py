"""The end of a secret's time, as clients of a whole gateway see it."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trio

from oto_trio.app import STORE_FILE
from oto_trio.control.store import SqliteStore
from oto_trio.model.api_key import ROTATIONS, read_api_key
from oto_trio.model.document import encode_document
from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import GUARD_S, Connection, admin
from tests.integration.plugins.api_keys import METHODS, key
from tests.integration.plugins.test_limits import ROUTES, limited

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

LEFT_S = 6.0
"""What is left of the period when the gateway starts; long enough to start and to find the secret good."""


def now_s() -> float:
    return datetime.now(UTC).timestamp()


async def test_a_secret_is_over_at_its_time_though_nobody_can_write_it_down(tmp_path: Path) -> None:
    """The supervisor is stopped: only the worker's own clock can tell."""
    rotation = {"enabled": True, "rotationEvery": 1, "gracePeriod": 1, "nextSecret": "planted-next"}
    document = key("turning", "planted-last", rotation=rotation, allowClientIdOnly=False)
    end_s = now_s() + LEFT_S
    began = {"start": int((end_s - 3600) * 1000)}
    async with await SqliteStore.open(tmp_path / STORE_FILE) as store:
        await store.put("apikeys", "turning", encode_document(read_api_key(document)))
        await store.put(ROTATIONS, "turning", json.dumps(began).encode())
    last, following = (
        METHODS["custom_headers"]("turning", secret).headers
        for secret in ("planted-last", "planted-next")
    )
    async with gateway_process("--workers", "1", data=tmp_path) as gateway:
        async with admin(gateway) as api:
            route = limited("keyed", "ApikeyCalls", {}, groups=["g"])
            assert (await api.post(ROUTES, json=route)).status_code == 201
        gateway.signal(signal.SIGSTOP)
        try:
            async with await Connection.open(gateway.port) as connection:
                with trio.fail_after(GUARD_S):
                    while (await connection.ask("keyed.test", headers=last)).status == 200:
                        await trio.lowlevel.checkpoint()
                assert now_s() >= end_s - 0.01
                assert (await connection.ask("keyed.test", headers=last)).status == 401
                answer = await connection.ask("keyed.test", headers=following)
                assert answer.status == 200
        finally:
            gateway.signal(signal.SIGCONT)
