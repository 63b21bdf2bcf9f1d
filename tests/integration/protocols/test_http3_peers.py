"""HTTP/3 with clients that others wrote: quic-go, and Chromium, which has to be told that there is HTTP/3."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.attacks.backends import LARGE_BYTES, Backend
from tests.integration.backends import serving
from tests.integration.gateways import HTTP3, HTTPS, declared_gateway, shown
from tests.integration.protocols.chromium import CHROMIUM, page_report
from tests.integration.protocols.lossy_link import lossy_link

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from oto_trio.testing.gateway_process import GatewayProcess

pytestmark = pytest.mark.slow

PATIENCE_S: Final = 400
TOOLS: Final = Path(os.environ.get("OTO_TRIO_GO_TOOLS", ".make/tools/bin"))
QUIC_GO: Final = shutil.which("oto-h3load", path=f"{TOOLS}:{os.environ['PATH']}")
"""A client on quic-go, where `make .make/tools/bin/oto-h3load` built it."""
HOST: Final = "h3.test"
UP_BYTES: Final = 2_000_000
NG: Final = "cp:otoroshi.next.plugins."


@pytest.fixture
async def backend() -> AsyncGenerator[Backend]:
    """A backend that reads bodies of every kind: clients may end a request in a packet of its own."""
    one = Backend()
    async with serving(one.serve) as one.port:
        yield one


@asynccontextmanager
async def fronted(
    backend: Backend, folder: Path, certificate: dict[str, Any]
) -> AsyncGenerator[GatewayProcess]:
    """A gateway with a route for the host, and two workers."""
    open_to_pages = {"access-control-allow-origin": "*", "timing-allow-origin": "*"}
    slots = [
        {"plugin": f"{NG}Http3Switch"},
        {"plugin": f"{NG}AdditionalHeadersOut", "config": {"headers": open_to_pages}},
    ]
    route = {
        "name": "r",
        "frontend": HOST,
        "backend": f"http://127.0.0.1:{backend.port}",
        "plugins": slots,
    }
    document = {"certificates": [certificate], "routes": [route]}
    with trio.fail_after(PATIENCE_S):
        async with declared_gateway(document, folder, *HTTPS, *HTTP3, "--workers", "2") as gateway:
            yield gateway


async def load(port: int, *options: str) -> dict[str, Any]:
    """Have quic-go make requests; returns what it counted, and fails when one of them did."""
    assert QUIC_GO is not None
    command = [QUIC_GO, "-address", f"127.0.0.1:{port}", "-host", HOST, *options]
    done = await trio.run_process(
        command, capture_stdout=True, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.skipif(QUIC_GO is None, reason="oto-h3load is not built")
async def test_quic_go_is_served(backend: Backend, tmp_path: Path) -> None:
    async with fronted(backend, tmp_path, shown(HOST)) as gateway:
        port = gateway.http3_port
        # What is not of the run: a request that opens each connection.
        many = ("-connections", "2", "-streams", "100", "-requests", "600", "-answer", "1024")
        assert (await load(port, *many))["requests"] == 600
        assert backend.asked == {"/": 602}
        few = ("-connections", "1", "-streams", "4", "-requests", "4")
        await load(port, *few, "-target", "/large", "-answer", str(LARGE_BYTES))
        await load(port, *few, "-target", "/up", "-body", str(UP_BYTES))
        assert backend.received == 5 * UP_BYTES
        sent = b"\r\ncontent-length: %d" % UP_BYTES
        assert sum(sent in head.lower() for head in backend.heads) == 5
        assert (await load(port, *few, "-version", "2"))["requests"] == 4
        async with lossy_link(port) as link:
            few = ("-connections", "4", "-streams", "5", "-requests", "40")
            await load(link.port, *few, "-answer", "1024")
            await load(link.port, "-connections", "1", "-requests", "2", "-body", "300000")
            assert min(link.lost, link.overtaken) > 10


PAGE: Final = """<!doctype html><script>
const api = new URLSearchParams(location.search).get('api');
const spoken = async path => {
  await (await fetch(api + path)).text();
  const [entry] = performance.getEntriesByName(api + path);
  return entry.nextHopProtocol;
};
(async () => {
  const told = {};
  try {
    told.first = await spoken('/first');
    for (let n = 0; n < 1200 && told.then !== 'h3'; n++) {
      told.then = await spoken('/then?' + n);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    told.down = (await (await fetch(api + '/large')).arrayBuffer()).byteLength;
    const up = {method: 'POST', body: new Uint8Array(1000000)};
    told.up = (await (await fetch(api + '/up', up)).text()).length;
    const many = Array.from({length: 100}, (_, n) => spoken('/many?' + n));
    told.many = [...new Set(await Promise.all(many))];
    told.spoken = ['/large', '/up'].map(
      path => performance.getEntriesByName(api + path)[0].nextHopProtocol);
  } catch (error) { told.error = String(error); }
  await fetch('/report', {method: 'POST', body: JSON.stringify(told)});
})();
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_a_browser_finds_http3_and_goes_over_to_it(backend: Backend, tmp_path: Path) -> None:
    certificate = shown(HOST)
    key = x509.load_pem_x509_certificate(certificate["chain"].encode()).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(info).digest()).decode()
    async with fronted(backend, tmp_path, certificate) as gateway:
        report = await page_report(
            PAGE,
            {"api": f"https://{HOST}:{gateway.https_port}"},
            tmp_path,
            f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
            f"--ignore-certificate-errors-spki-list={pin}",
            # Of authorities that the browser does not know it takes HTTP/3 only where it is told to, which is
            # at another port than the page asks.
            f"--origin-to-force-quic-on={HOST}:{gateway.http3_port}",
        )
    assert report == {
        "first": "h2",
        "then": "h3",
        "down": LARGE_BYTES,
        "up": 1024,
        "many": ["h3"],
        "spoken": ["h3", "h3"],
    }
    assert backend.received == 1_000_000
