"""OAuth1Caller."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
import pytest

from oto_trio._core import ApiKey
from oto_trio.gateway.compile import Hooks, RouteCompiler
from oto_trio.model.route import read_route
from oto_trio.plugin_api import Phase, Refusal, Response
from oto_trio.plugin_api.oauth1 import base_string, signature
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.plugins.authentication.o_auth1caller import OAuth1Caller, OAuth1CallerConfig
from oto_trio.testing import FakeExchange, call_hook

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG = OAuth1CallerConfig("key", "secret &", "token", "more/secret", "hmac-sha256")


def parameters_of(exchange: FakeExchange) -> dict[str, str]:
    value = exchange.request.headers.get("Authorization") or ""
    scheme, _, rest = value.partition(" ")
    assert scheme == "OAuth"
    found = {name: unquote(text) for name, text in re.findall(r'(\w+)="([^"]*)"', rest)}
    assert rest.count(",") == len(found) - 1
    return found


def test_a_signature_is_the_standards() -> None:
    # RFC 5849 §1.2.
    photos = [
        ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
        ("oauth_token", "nnch734d00sl2jdk"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131202"),
        ("oauth_nonce", "chapoH"),
    ]
    url = "http://photos.example.net/photos?file=vacation.jpg&size=original"
    text = base_string("GET", url, photos)
    signed = signature("HMAC-SHA1", text, "kd94hf93k423kf44", "pfkkdhi9sl3r4s00")
    assert signed == "MdpQcU8iPSUjWoN/UDMsK2sui9I="


def test_a_base_string_is_the_standards() -> None:
    # RFC 5849 §3.4.1.1; the form is "c2&a3=2+q".
    parameters = [
        ("oauth_consumer_key", "9djdj82h48djs9d2"),
        ("oauth_token", "kkk9d7dh3k39sjv7"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131201"),
        ("oauth_nonce", "7d8f3e4a"),
        ("c2", ""),
        ("a3", "2 q"),
    ]
    url = "http://EXAMPLE.com:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b"
    assert base_string("post", url, parameters) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D"
        "%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a"
        "%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3D"
        "kkk9d7dh3k39sjv7"
    )


@pytest.mark.parametrize("host", ["a:99999999", "[", "a:b", "é", ""])
def test_any_host_can_be_signed(host: str) -> None:
    assert base_string("GET", f"https://{host}/x", []).startswith("GET&https%3A%2F%2F")


async def test_the_backends_request_is_signed_with_its_query_and_form() -> None:
    exchange = FakeExchange.of("POST", "http://api.localhost/x", body=b"c=d+e")
    exchange.request.headers.set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
    exchange.request.headers.set("Authorization", "the client's")
    exchange.upstream_url = "https://backend.internal:8443/x?a=b"
    assert await call_hook(OAuth1Caller(CONFIG), Phase.TRANSFORM_REQUEST, exchange) is None
    found = parameters_of(exchange)
    signed = found.pop("oauth_signature")
    nonce = found["oauth_nonce"]
    assert len(nonce) == 32
    assert found == {
        "oauth_consumer_key": "key",
        "oauth_token": "token",
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": "1700000000",
        "oauth_nonce": nonce,
    }
    for form, is_it in (([("c", "d e")], True), ([], False)):
        text = base_string("POST", exchange.upstream_url, [*found.items(), *form])
        assert (signature("HMAC-SHA256", text, "secret &", "more/secret") == signed) is is_it
    assert await call_hook(OAuth1Caller(CONFIG), Phase.TRANSFORM_REQUEST, exchange) is None
    assert parameters_of(exchange)["oauth_nonce"] != nonce


async def test_a_form_that_is_too_long_is_refused() -> None:
    exchange = FakeExchange.of("POST", "http://api.localhost/x", body=b"x" * (2 << 20))
    exchange.request.headers.set("Content-Type", "application/x-www-form-urlencoded")
    refused = await call_hook(OAuth1Caller(CONFIG), Phase.TRANSFORM_REQUEST, exchange)
    assert isinstance(refused, Refusal)
    assert refused.status == 413
    exchange.request.headers.set("Content-Type", "application/octet-stream")
    assert await call_hook(OAuth1Caller(CONFIG), Phase.TRANSFORM_REQUEST, exchange) is None


async def test_plain_text_shows_the_secrets_and_the_keys_metadata_wins() -> None:
    config = OAuth1CallerConfig("key-${req.method}", "a", "token", "b", "TEXTPLAIN")
    exchange = FakeExchange()
    assert await call_hook(OAuth1Caller(config), Phase.TRANSFORM_REQUEST, exchange) is None
    found = parameters_of(exchange)
    assert found["oauth_signature_method"] == "PLAINTEXT"
    assert (found["oauth_consumer_key"], found["oauth_signature"]) == ("key-GET", "a&b")
    metadata = {"oauth_consumer_key": "k", "oauth_consumer_secret": "c", "oauth_token_secret": "d"}
    key = {"clientId": "c", "clientSecret": "s", "clientName": "n", "metadata": metadata}
    exchange.apikey = ApiKey.read(msgspec.json.encode(key))
    assert await call_hook(OAuth1Caller(config), Phase.TRANSFORM_REQUEST, exchange) is None
    found = parameters_of(exchange)
    assert (found["oauth_consumer_key"], found["oauth_signature"]) == ("k", "c&d")
    assert found["oauth_token"] == "token"


@pytest.mark.parametrize("missing", ["consumer_key", "consumer_secret", "token", "token_secret"])
async def test_without_all_four_the_exchange_is_answered_with_400(missing: str) -> None:
    config = msgspec.structs.replace(CONFIG, **{missing: None})
    exchange = FakeExchange()
    refused = await call_hook(OAuth1Caller(config), Phase.TRANSFORM_REQUEST, exchange)
    assert isinstance(refused, Response)
    assert (refused.status, refused.body) == (400, b'{"error":"Bad parameters"}')
    assert "Authorization" not in exchange.request.headers


def problems_of(config: Mapping[str, Any]) -> str:
    """What is wrong with a route that has this config."""
    document = {
        "id": "r",
        "name": "r",
        "frontend": {"domains": ["a.test"]},
        "backend": {"targets": [{"hostname": "b.test", "port": 80}]},
        "plugins": [{"plugin": OAuth1Caller.id, "config": dict(config)}],
    }
    lowered = RouteCompiler(builtin_plugins(), Hooks()).compile(read_route(document), {})
    return " ".join(str(problem) for problem in lowered.problems)


def test_what_cannot_be_signed_is_refused_when_the_config_is_read() -> None:
    assert problems_of({"algo": "TEXTPLAIN"}) == ""
    assert "HMAC-SHA1, " in problems_of({"algo": "HmacSHA512"})
