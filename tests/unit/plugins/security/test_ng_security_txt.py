"""NgSecurityTxt."""

import pytest

from oto_trio.plugin_api import PluginError, Response
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.security.ng_security_txt import NgSecurityTxt, NgSecurityTxtConfig
from oto_trio.testing import FakeExchange, play

URL = "http://api.localhost/.well-known/security.txt"


async def answered(**config: object) -> str:
    plugin = NgSecurityTxt(read_config(NgSecurityTxtConfig, config))
    exchange = FakeExchange.of("GET", URL)
    exchange.unix_time = 1_709_208_000.5  # 2024-02-29T12:00:00.500Z
    answer = await play(plugin, exchange)
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers) == (
        200,
        (("Content-Type", "text/plain; charset=utf-8"),),
    )
    return answer.body.decode()


async def test_by_default_there_is_a_contact_for_a_year() -> None:
    assert await answered() == (
        "Contact: contact@foo.bar\n"
        "Expires: 2025-02-28T12:00:00.500Z\n"
        "Canonical: https://api.localhost/.well-known/security.txt\n"
    )


async def test_every_field_has_its_line() -> None:
    text = await answered(
        contact=["a@b.example", "https://b.example"],
        auto_expires=True,
        expires_years=4,
        acknowledgments="1",
        preferred_languages="2",
        policy="3",
        hiring="4",
        encryption="5",
        csaf="6",
    )
    assert text == (
        "Contact: a@b.example\nContact: https://b.example\n"
        "Expires: 2028-02-29T12:00:00.500Z\n"
        "Canonical: https://api.localhost/.well-known/security.txt\n"
        "Acknowledgments: 1\nPreferred-Languages: 2\nPolicy: 3\nHiring: 4\nEncryption: 5\nCSAF: 6\n"
    )


async def test_a_given_date_counts() -> None:
    assert "Expires: 2030-01-01T00:00:00Z\n" in await answered(expires="2030-01-01T00:00:00Z")


@pytest.mark.parametrize(("method", "url"), [("POST", URL), ("GET", URL + "x"), ("HEAD", URL)])
async def test_everything_else_goes_on(method: str, url: str) -> None:
    exchange = FakeExchange.of(method, url)
    assert await play(NgSecurityTxt(NgSecurityTxtConfig()), exchange) is None


def test_a_field_is_one_line() -> None:
    with pytest.raises(PluginError, match="policy"):
        read_config(NgSecurityTxtConfig, {"policy": "a\nExpires: never"})
