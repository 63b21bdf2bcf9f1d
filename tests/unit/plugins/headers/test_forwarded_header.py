"""ForwardedHeader."""

import pytest

from oto_trio.plugins.headers.forwarded_header import ForwardedHeader
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("chain", "nodes"),
    [
        ("192.0.2.7", "for=192.0.2.7"),
        ("203.0.113.9, 192.0.2.7", "for=203.0.113.9, for=192.0.2.7"),
        ("203.0.113.9:80,2001:DB8::1", 'for=203.0.113.9, for="[2001:db8::1]"'),
        ("[::1]:80, ::ffff:192.0.2.7", 'for="[::1]", for=192.0.2.7'),
        ('evil";by=x, 192.0.2.7', "for=unknown, for=192.0.2.7"),
        ("fe80::1%eth0, 1.2.3.4:99999", "for=unknown, for=unknown"),
    ],
)
async def test_every_hop_is_told(chain: str, nodes: str) -> None:
    exchange = FakeExchange.of("GET", "https://api.localhost:8443/", {"Forwarded": "for=1.1.1.1"})
    exchange.forwarded_for = chain
    await play(ForwardedHeader(None), exchange)
    assert exchange.request.headers.get_all("Forwarded") == [
        f'{nodes};proto=https;host="api.localhost:8443"'
    ]
