"""BasicAuthCaller."""

import pytest

from oto_trio.plugin_api import Phase, steps
from oto_trio.plugins.authentication.basic_auth_caller import (
    REFUSED,
    BasicAuthCaller,
    BasicAuthCallerConfig,
)
from oto_trio.testing import FakeExchange, FakeRequest, play


async def test_it_replaces_the_clients_credentials() -> None:
    plugin = BasicAuthCaller(BasicAuthCallerConfig("Aladdin", "open sesame"))
    exchange = FakeExchange(FakeRequest(headers={"authorization": "Bearer x"}))
    assert await play(plugin, exchange) is None
    # The example of RFC 7617 section 2.
    assert exchange.request.headers.get_all("Authorization") == [
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    ]


async def test_header_and_format_can_be_chosen() -> None:
    config = BasicAuthCallerConfig("u", "p", "X-Login", "cred=%s;")
    exchange = FakeExchange()
    assert await play(BasicAuthCaller(config), exchange) is None
    assert exchange.request.headers.items() == [("X-Login", "cred=dTpw;")]


@pytest.mark.parametrize(("username", "password"), [(None, "p"), ("", "p"), ("u", None), ("u", "")])
async def test_without_user_or_password_it_answers_400(
    username: str | None, password: str | None
) -> None:
    plugin = BasicAuthCaller(BasicAuthCallerConfig(username, password))
    assert await play(plugin, FakeExchange()) == REFUSED


def test_a_header_of_the_engine_is_refused_when_the_config_is_read() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        BasicAuthCallerConfig("u", "p", "Content-Length")


def test_it_is_native() -> None:
    config = BasicAuthCallerConfig("u", "p")
    lowered = BasicAuthCaller(config).lower()
    assert lowered == (steps.Native("basic_auth_caller", Phase.TRANSFORM_REQUEST, config),)
