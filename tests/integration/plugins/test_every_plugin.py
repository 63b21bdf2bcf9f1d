"""Every plugin end to end: a whole gateway, real sockets, and the same requests with and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.integration.plugins.cases.stage import staged
from tests.integration.plugins.cases.table import CASES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


async def test_each_plugin_does_what_its_case_says_and_nothing_else_does_it(tmp_path: Path) -> None:
    wrong: dict[str, list[str]] = {}
    async with staged(CASES, tmp_path) as stage:
        for name, case in CASES.items():
            with_it = await stage.faults(name, bare=False)
            without = await stage.faults(name, bare=True)
            for place, ask in enumerate(case.asks):
                where = f"{name}[{place}] {ask.request}"
                if with_it[place]:
                    wrong[where] = with_it[place]
                elif ask.is_acted_on and not without[place]:
                    wrong[f"{where} without it"] = ["all of this is so without the plugin, too"]
                elif not ask.is_acted_on and without[place]:
                    wrong[f"{where} without it"] = without[place]
    assert not wrong, "\n".join(f"{where}: {faults}" for where, faults in wrong.items())


async def test_each_plugin_decides_the_same_over_http2(tmp_path: Path) -> None:
    wrong: dict[str, list[str]] = {}
    async with staged(CASES, tmp_path) as stage:
        stage.speaks = "2"
        for name, case in CASES.items():
            faults = await stage.faults(name, bare=False)
            for place, ask in enumerate(case.asks):
                if faults[place]:
                    wrong[f"{name}[{place}] {ask.request}"] = faults[place]
    assert not wrong, "\n".join(f"{where}: {faults}" for where, faults in wrong.items())


ENCRYPTED: Final = {
    # There is no HTTP/3 without TLS: what sends clients there has nothing to do ...
    "ForceHttpsTraffic": {0},
    "BlockHttpTraffic": {0},
    # ... and what says how the client came says that it came by HTTPS.
    "ForwardedHeader": {0},
    "OverrideLocationHeader": {0, 1},
    "SecurityHeadersPlugin": {1},
    "XForwardedHeaders": {0},
}
"""What is asked without TLS, and is another thing with it: places in a plugin's case."""


async def test_each_plugin_decides_the_same_over_http3(tmp_path: Path) -> None:
    wrong: dict[str, object] = {}
    async with staged(CASES, tmp_path) as stage:
        for name, case in CASES.items():
            stage.speaks = "3"
            faults = await stage.faults(name, bare=False)
            others = {place for place, found in enumerate(faults) if found}
            if others != ENCRYPTED.get(name, set()):
                wrong[name] = {case.asks[place].request: faults[place] for place in others}
            elif others:
                # Then it is what clients get who come with TLS, and without a certificate.
                stage.speaks = "2"
                secure = await stage.faults(name, bare=False, show="tls")
                if secure != faults:
                    wrong[name] = (faults, secure)
    assert not wrong, "\n".join(f"{where}: {faults}" for where, faults in wrong.items())
