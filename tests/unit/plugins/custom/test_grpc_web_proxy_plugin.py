"""GrpcWebProxyPlugin."""

import pytest

from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.custom.grpc_web_proxy_plugin import (
    REFUSED,
    GrpcWebProxyPlugin,
    GrpcWebProxyPluginConfig,
)
from oto_trio.testing import FakeExchange, FakeResponseHead, play

CALL = "http://api.localhost/pkg.sub.Greeter/Hello"


def call(content_type: str, url: str = CALL) -> FakeExchange:
    return FakeExchange.of("POST", url, {"Content-Type": content_type})


@pytest.mark.parametrize(
    ("asked", "to_backend", "answered", "to_client"),
    [
        ("application/grpc-web", "application/grpc", "application/grpc", "application/grpc-web"),
        (
            "application/grpc-web+proto",
            "application/grpc+proto",
            "application/grpc+proto",
            "application/grpc-web+proto",
        ),
        (
            "Application/grpc-web+json; charset=utf-8",
            "application/grpc+json",
            "application/grpc+json",
            "application/grpc-web+json",
        ),
        (
            "application/grpc-web-text",
            "application/grpc+proto",
            "application/grpc",
            "application/grpc-web-text+proto",
        ),
        ("application/grpc-web", "application/grpc", "text/html", "text/html"),
        (
            "application/grpc-webby",
            "application/grpc-webby",
            "application/grpc",
            "application/grpc",
        ),
        ("application/json", "application/json", "application/grpc", "application/grpc"),
    ],
)
async def test_content_types_change_both_ways(
    asked: str, to_backend: str, answered: str, to_client: str
) -> None:
    plugin = GrpcWebProxyPlugin(GrpcWebProxyPluginConfig())
    exchange = call(asked)
    backend = FakeResponseHead(200, [("Content-Type", answered)])
    assert await play(plugin, exchange, backend) is None
    assert exchange.request.headers.get("content-type") == to_backend
    assert backend.headers.get("content-type") == to_client


@pytest.mark.parametrize(
    ("config", "is_allowed"),
    [
        ({}, True),
        ({"allowed_services": ["pkg.sub.Greeter"]}, True),
        ({"allow_services": ["pkg.sub"]}, True),
        ({"allow_services": ["x"], "allowed_services": ["Greeter"]}, True),
        ({"allowed_services": ["pkg.su"]}, False),
        ({"allowed_services": ["sub.Greeter"]}, False),
        ({"allow_methods": ["Hello"]}, True),
        ({"allow_methods": ["hello"]}, False),
        ({"blocked_methods": ["Hello"], "allow_methods": ["Hello"]}, False),
        ({"blocked_methods": ["Bye"]}, True),
    ],
)
async def test_services_and_methods_may_be_bounded(
    config: dict[str, list[str]], *, is_allowed: bool
) -> None:
    plugin = GrpcWebProxyPlugin(read_config(GrpcWebProxyPluginConfig, config))
    answer = await play(plugin, call("application/grpc-web"))
    assert answer == (None if is_allowed else REFUSED)


@pytest.mark.parametrize("path", ["", "/", "/pkg.Greeter", "//"])
async def test_a_call_names_a_service_and_a_method(path: str) -> None:
    plugin = GrpcWebProxyPlugin(GrpcWebProxyPluginConfig())
    assert await play(plugin, call("application/grpc-web", f"http://a.localhost{path}")) == REFUSED
    assert await play(plugin, call("application/json", f"http://a.localhost{path}")) is None
