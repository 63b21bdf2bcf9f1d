"""What every plugin may ask of an exchange."""

from oto_trio.plugin_api import BodyTooLarge, Exchange, stripped_path
from oto_trio.testing import FakeExchange


def test_the_fake_is_an_exchange() -> None:
    exchange: Exchange = FakeExchange()
    assert exchange.request.headers.items() == []


def test_the_matched_path_is_stripped() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/users/1")
    exchange.matched_path = "/users"
    assert stripped_path(exchange) == "/1"
    exchange.strip_path = False
    assert stripped_path(exchange) == "/users/1"


def test_a_path_that_is_stripped_whole_is_the_root() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/users")
    exchange.matched_path = "/users"
    assert stripped_path(exchange) == "/"


def test_an_oversized_body_says_its_limit() -> None:
    assert BodyTooLarge(3).limit_bytes == 3
    assert str(BodyTooLarge(3)) == "the request body is longer than 3 bytes"
