"""React2SShellDetector."""

import pytest

from oto_trio.plugin_api import Phase, Refusal, Response, steps
from oto_trio.plugins.transformations.react2s_shell_detector import (
    BODY_BYTES,
    React2SShellDetector,
    React2SShellDetectorConfig,
)
from oto_trio.testing import FakeExchange, play

BLOCKED = Response(
    401, (("Content-Type", "application/json"),), b'{"error":"You\'re not allowed here !"}'
)
ACTION = {"Next-Action": "x"}


@pytest.mark.parametrize(
    ("method", "fields", "body", "score"),
    [
        ("POST", {}, b"[1]", 0),
        ("POST", ACTION, b"[1]", 0),
        ("POST", {}, b'{"then":"$@1"}', 0),
        ("POST", ACTION, b'{"status":"resolved_model"}', 3),
        ("POST", {}, b"cat /etc/passwd", 3),
        ("POST", {"rsc-action-id": "1"}, b"constructor:constructor whoami", 6),
        ("PUT", ACTION, b"constructor:constructor whoami", 0),
    ],
)
async def test_an_attack_is_told_and_blocked_when_wanted(
    method: str, fields: dict[str, str], body: bytes, score: int
) -> None:
    for block in (False, True):
        exchange = FakeExchange.of(method, "http://api.localhost/a", fields, body)
        plugin = React2SShellDetector(React2SShellDetectorConfig(block))
        answer = await play(plugin, exchange)
        assert answer == (BLOCKED if block and score else None)
        told = [(name, facts["score"], facts["blocked"]) for name, facts in exchange.alerts]
        assert told == ([("ReactToShellDetectedAlert", score, block)] if score else [])
        native = steps.Native("react2shell", Phase.TRANSFORM_REQUEST, undecided=True)
        assert plugin.lower() == (native,)


async def test_a_body_too_long_to_judge_is_refused_when_attacks_are() -> None:
    body = b"a" * (BODY_BYTES + 1)
    refusal = Refusal(413, "The body is longer than 1048576 bytes")
    for block, fields, answer in (
        (True, {"Content-Length": str(len(body))}, refusal),
        (False, {"Content-Length": str(len(body))}, None),
        (False, {"Transfer-Encoding": "chunked"}, refusal),
    ):
        exchange = FakeExchange.of("POST", "http://api.localhost/", fields, body)
        plugin = React2SShellDetector(React2SShellDetectorConfig(block))
        assert await play(plugin, exchange) == answer
