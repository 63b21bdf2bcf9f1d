"""The base class: quiet hooks, and a config type taken from the type argument."""

from typing import ClassVar

import msgspec

from oto_trio.plugin_api import Config, Phase, Plugin
from oto_trio.testing import FakeExchange, call_hook, play


class Settings(Config, frozen=True):
    limit: int = 3


class Other(msgspec.Struct, frozen=True):
    limit: int = 4


class WithConfig(Plugin[Settings]):
    pass


class Derived(WithConfig):
    pass


class Explicit(Plugin[Settings]):
    Config: ClassVar[type[msgspec.Struct] | None] = Other


class Bare(Plugin):
    pass


def test_the_config_type_is_the_type_argument() -> None:
    assert WithConfig.Config is Settings
    assert Derived.Config is Settings
    assert Explicit.Config is Other
    assert Bare.Config is None
    assert WithConfig(Settings(5)).config.limit == 5


async def test_every_hook_is_quiet() -> None:
    plugin = Bare(None)
    exchange = FakeExchange()
    assert plugin.match_route(exchange) is True
    assert await play(plugin, exchange) is None
    assert await call_hook(plugin, Phase.DONE, exchange) is None
    assert plugin.lower() is None
