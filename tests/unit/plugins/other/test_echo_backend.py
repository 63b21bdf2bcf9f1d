"""EchoBackend."""

from typing import Any

import msgspec
import pytest

from oto_trio.plugin_api import Response
from oto_trio.plugins.other.echo_backend import EchoBackend, EchoBackendConfig
from oto_trio.testing import FakeExchange, play


async def echo(exchange: FakeExchange, limit: int = 100_000) -> tuple[int, Any]:
    answer = await play(EchoBackend(EchoBackendConfig(limit)), exchange)
    assert isinstance(answer, Response)
    assert answer.headers == (("Content-Type", "application/json"),)
    return answer.status, msgspec.json.decode(answer.body)


async def test_the_request_comes_back_as_json() -> None:
    headers = [("X-A", "b"), ("Cookie", "c=d; e=f")]
    exchange = FakeExchange.of("PUT", "http://api.localhost/users/1?x=1&y=", headers)
    exchange.matched_path = "/users"
    assert await echo(exchange) == (
        200,
        {
            "method": "PUT",
            "path": "/1",
            "raw_path": "/users/1",
            "query": {"x": "1", "y": ""},
            "headers": {"Host": "api.localhost", "X-A": "b", "Cookie": "c=d; e=f"},
            "cookies": [{"name": "c", "value": "d"}, {"name": "e", "value": "f"}],
            "body": None,
        },
    )


@pytest.mark.parametrize(
    ("content_type", "body", "echoed"),
    [
        ("application/json", b'{"a": [1]}', {"a": [1]}),
        ("Application/Problem+JSON; charset=utf-8", b"[]", []),
        ("application/json", b"{", "{"),
        ("application/json", b"[" * 50_000, "[" * 50_000),
        ("text/plain", b"a\xff", "a\ufffd"),
        ("application/x-www-form-urlencoded", b"a=b", "a=b"),
        ("application/octet-stream", b"\x00\x01", "AAE="),
        ("", b"\x00\x01", "AAE="),
    ],
)
async def test_the_body_comes_in_the_form_of_its_type(
    content_type: str, body: bytes, echoed: object
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    exchange = FakeExchange.of("POST", "http://api.localhost/", headers, body)
    assert (await echo(exchange))[1]["body"] == echoed


async def test_a_body_that_is_too_large_is_refused() -> None:
    exchange = FakeExchange.of("POST", "http://api.localhost/", {}, b"12345")
    assert await echo(exchange, 4) == (
        413,
        {
            "error": "request_body_too_large",
            "message": "Request body exceeds maximum allowed size of 4 bytes",
            "limit": 4,
        },
    )
    assert (await echo(exchange, 5))[0] == 200


async def test_cookies_are_taken_as_they_come_but_need_a_name() -> None:
    cookies = [("Cookie", 'a[]=1; b="c d";; =x'), ("cookie", "e=f=g")]
    exchange = FakeExchange.of("GET", "http://api.localhost/", cookies)
    assert (await echo(exchange))[1]["cookies"] == [
        {"name": "a[]", "value": "1"},
        {"name": "b", "value": "c d"},
        {"name": "e", "value": "f=g"},
    ]
