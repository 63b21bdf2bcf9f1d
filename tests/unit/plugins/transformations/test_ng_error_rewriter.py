"""NgErrorRewriter."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from oto_trio.plugin_api import Phase, Response
from oto_trio.plugins.transformations.ng_error_rewriter import (
    REPORTED_BYTES,
    NgErrorRewriter,
    NgErrorRewriterConfig,
)
from oto_trio.testing import FakeExchange, FakeRequest, FakeResponseHead, play

TEMPLATES = {
    "default": "<i>${error_id}</i>",
    "404": "<i>no ${req.path}</i>",
    "text/plain": "plain ${status} ${status_text}",
    "500-text/plain": "plain five hundred",
    "default-application/xml": "<x/>",
}


def rewriter(**config: Any) -> NgErrorRewriter:
    return NgErrorRewriter(msgspec.convert(config, NgErrorRewriterConfig))


async def rewritten(
    plugin: NgErrorRewriter,
    status: int = 500,
    accept: str | None = None,
    body: bytes = b"trace",
    exchange: FakeExchange | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response | None:
    if exchange is None:
        asked = [] if accept is None else [("Accept", accept)]
        exchange = FakeExchange(FakeRequest(path="/a", headers=asked))
    answer = await play(plugin, exchange, FakeResponseHead(status, list(headers.items()), body))
    assert answer is None or isinstance(answer, Response)
    return answer


@pytest.mark.parametrize(
    ("status", "accept", "media", "text"),
    [
        (500, None, "text/html", "<i>(id)</i>"),
        (500, "*/*", "text/html", "<i>(id)</i>"),
        (404, "text/html", "text/html", "<i>no /a</i>"),
        (500, "text/plain", "text/plain", "plain five hundred"),
        (503, "text/plain", "text/plain", "plain 503 Service Unavailable"),
        (599, "TEXT/plain; charset=utf-8", "text/plain", "plain 599 "),
        (500, "application/xml;q=0.9, text/plain;q=0.8", "application/xml", "<x/>"),
        (500, "application/xml;q=0.1, text/plain;q=0.8", "text/plain", "plain five hundred"),
        (500, "text/*, application/xml", "application/xml", "<x/>"),
        (500, "application/xml;q=0, text/plain;q=x, text/html", "text/html", "<i>(id)</i>"),
        (500, "image/png", "application/json", '{"otoroshi-error-id": "(id)", "status": 500}'),
    ],
)
async def test_the_body_is_what_the_client_accepts_best(
    status: int, accept: str | None, media: str, text: str
) -> None:
    plugin = rewriter(templates=TEMPLATES, ranges=[{"from": 404, "to": 599}])
    answer = await rewritten(plugin, status, accept)
    assert answer is not None
    headers = dict(answer.headers)
    body = answer.body.decode().replace(headers["x-otoroshi-error-id"], "(id)")
    assert (answer.status, headers["Content-Type"], body) == (status, media, text)


@pytest.mark.parametrize(
    ("config", "accept", "body"),
    [
        ({}, None, b"<html><body><p>An error occurred with id: "),
        ({"use_otoroshi_error_template": False}, "a/b", b"error: "),
        ({"use_otoroshi_error_template": False, "templates": {"default": "d"}}, "a/b", b"d"),
        ({"templates": {"default": "${status}${req.path}"}, "apply_el": False}, None, b"500${req"),
        ({"templates": {"": "x"}}, None, b"<html>"),
    ],
)
async def test_where_no_template_fits_there_is_a_short_answer(
    config: dict[str, Any], accept: str | None, body: bytes
) -> None:
    answer = await rewritten(rewriter(**{"templates": {}, **config}), accept=accept)
    assert answer is not None
    assert answer.body.startswith(body)


@pytest.mark.parametrize(("status", "acts"), [(499, False), (500, True), (599, True), (200, False)])
async def test_only_the_ranges_are_rewritten(status: int, acts: bool) -> None:
    assert (await rewritten(rewriter(), status) is not None) is acts
    (step,) = rewriter().lower()
    document = msgspec.to_builtins(step)
    assert (document["kind"], document["phase"]) == ("status_in", Phase.TRANSFORM_RESPONSE.value)
    assert document["settings"] == {"ranges": ((500, 599),)}
    assert document["undecided"] is True


async def test_headers_that_are_kept_and_added_win_and_no_other_stays() -> None:
    plugin = rewriter(
        preserved_headers=["Retry-After", "x-absent"],
        additional_headers={"content-type": "text/x", "X-Own": "1"},
    )
    answer = await rewritten(plugin, headers={"Retry-After": "3", "Set-Cookie": "a=b"})
    assert answer is not None
    fields = {name.lower(): value for name, value in answer.headers}
    assert len(fields) == len(answer.headers)
    fields.pop("x-otoroshi-error-id")
    assert fields == {
        "content-type": "text/x",
        "x-otoroshi-req-id": fields["x-otoroshi-req-id"],
        "retry-after": "3",
        "x-own": "1",
    }


@pytest.mark.parametrize(
    ("limit", "body", "told"),
    [
        (5, b"trace", "trace"),
        (4, b"trace", None),
        (0, b"trac\xff", "trac\ufffd"),
        (1 << 20, b"x" * (REPORTED_BYTES + 1), None),
    ],
)
async def test_the_report_has_both_bodies_within_its_bounds(
    limit: int, body: bytes, told: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = rewriter(max_body_size=limit, templates={"default": "d"})
    exchange = FakeExchange(FakeRequest(method="GET", path="/a", host="h.test"))
    with caplog.at_level(logging.ERROR):
        answer = await rewritten(
            plugin, 502, body=body, exchange=exchange, headers={"Set-Cookie": "s"}
        )
    assert answer is not None
    ((name, facts),) = exchange.alerts
    assert name == "ErrorRewriteReport"
    error_id = dict(answer.headers)["x-otoroshi-error-id"]
    assert facts == {
        "error_id": error_id,
        "request_id": str(exchange.request_id),
        "request": {"method": "GET", "host": "h.test", "path": "/a"},
        "original_response": {"status": 502, "content_type": None, "body": told},
        "sent_response": {"status": 502, "content_type": "text/html", "body": "d"},
    }
    assert error_id in caplog.text
    assert "trac" not in caplog.text


async def test_nothing_is_told_unless_wanted(caplog: pytest.LogCaptureFixture) -> None:
    exchange = FakeExchange()
    assert await rewritten(rewriter(log=False, export=False), exchange=exchange) is not None
    assert (exchange.alerts, caplog.text) == ([], "")


def test_a_range_without_a_status_is_refused() -> None:
    with pytest.raises(ValueError, match="exchange the two"):
        rewriter(ranges=[{"from": 503, "to": 500}])
