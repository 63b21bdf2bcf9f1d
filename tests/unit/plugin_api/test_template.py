"""Templates: the expression language as hooks in Python use it."""

import pytest

from oto_trio._core import Snapshot
from oto_trio.plugin_api import Template
from oto_trio.testing import FakeExchange


def test_a_template_is_rendered_for_an_exchange() -> None:
    exchange = FakeExchange.of("GET", "https://api.localhost/users/12?q=a%20b", {"X-A": "1"})
    exchange.path_params = {"id": "12"}
    exchange.unix_time = 1.5
    template = Template(
        "${req.method} ${req.protocol} ${req.headers.x-a} ${req.query.q} ${req.pathparams.id} "
        "${req.ip} ${route.id} ${now.epoch_ms} ${user.name}"
    )
    expected = "GET https 1 a b 12 192.0.2.7 route_1 1500 bad-expr"
    assert template.render(exchange) == expected


def test_a_header_value_holds_what_headers_can_carry() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/?q=a%0D%0Ab%E2%82%AC%C3%A9")
    assert Template("${req.query.q}").render_header(exchange) == "a??b?é"


def test_text_without_expressions_needs_no_exchange_of_the_engine() -> None:
    template = Template("plain")
    assert template.is_literal
    assert template.source == "plain"
    assert template.render(FakeExchange()) == "plain"


def test_a_template_that_cannot_be_compiled_says_why() -> None:
    with pytest.raises(ValueError, match="look-ahead"):
        Template("${ctx.a.replaceAll('(?=a)','b')}")


def test_the_engines_own_exchange_needs_no_stand_in() -> None:
    exchange = Snapshot().begin(b"GET", b"/", [(b"Host", b"a.localhost")])
    assert Template("${req.host} ${route.id}").render(exchange) == "a.localhost bad-expr"
