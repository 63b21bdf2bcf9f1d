"""The admin API called as its OpenAPI document says: no status, header or body that is not described.

A short run, the same each time. Left out are `negative_data_rejection` and its kin, as the API reads more
than its schemas allow, `ignored_auth`, which knows no 400, Otoroshi's answer to a missing API key, and
`unsupported_method`, which cannot know that ids have slashes, so that more paths are an entity's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio import _core
from oto_trio.control.admin_api.audit_trail import AuditTrail
from oto_trio.control.admin_api.openapi import entities
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.limits import LimitsTable
from oto_trio.telemetry.events.audit import Audit
from oto_trio.telemetry.events.identity import Instance, Snowflakes
from oto_trio.telemetry.events.recent import RecentEvents
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document, serving_admin_api

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
LONGEST_S = 240

# Schemathesis cannot write these media types by itself; their schemas are texts and JSON.
HOOKS = """
import json
import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/json+oto-patch")
def write(_context, value):
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
"""


def audit_trail() -> AuditTrail:
    audits, alerts = RecentEvents(), RecentEvents()
    ids = Snowflakes(lambda: 1_700_000_000_000)
    audit = Audit(Instance(), ids, lambda: 1_700_000_000_000)
    redaction = _core.Redaction(b"{}")
    return AuditTrail(audit, audits.note, redaction, audits=audits, alerts=alerts)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    with LimitsTable(tmp_path, (1, 2), among_processes=False, slots=100) as limits:
        async with serving_admin_api(limits=limits, trail=audit_trail()) as api:
            api.gateway.apply(sys.maxsize)  # whatever is written is live at once
            yield api


async def run(url: str, folder: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run schemathesis in a process of its own; it is done, or it fails."""
    (folder / "oto_trio_hooks.py").write_text(HOOKS, encoding="utf-8")
    command: list[Any] = [
        Path(sys.executable).with_name("schemathesis"), "run", f"{url}/apis/openapi.json",
        "--auth", f"{DEV_CREDENTIALS.client_id}:{DEV_CREDENTIALS.client_secret}",
        "--checks", ",".join(CHECKS), "--phases", "fuzzing", "--seed", "1",
        "--generation-database", "none", "--suppress-health-check", "all",
        "--no-shrink", "--no-color", "--warnings", "off", *options,
    ]  # fmt: skip
    environment = {
        "SCHEMATHESIS_HOOKS": "oto_trio_hooks",
        "PYTHONPATH": str(folder),
        "HOME": str(folder),
    }
    with trio.fail_after(LONGEST_S):
        return await trio.run_process(
            command, cwd=folder, env=environment, capture_stdout=True, check=False
        )


@pytest.mark.slow
async def test_the_api_answers_as_its_document_says(served: Served, tmp_path: Path) -> None:
    await served.call("POST", "/api/routes", route_document())
    report = await run(served.server.url, tmp_path, "--max-examples", "1")
    assert report.returncode == 0, report.stdout.decode()
    assert b"passed" in report.stdout


@pytest.mark.slow
async def test_a_status_that_is_not_described_is_found(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entities, "refusals", lambda *_statuses, **_kinds: {})
    report = await run(
        served.server.url, tmp_path, "--max-examples", "2", "--include-operation-id", "get_route"
    )
    assert report.returncode == 1
    assert b"Undocumented status code" in report.stdout
