"""Plugins and routes that the tests of this folder compile."""

from typing import Annotated, Any, ClassVar

import pytest
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.route import Route, read_route
from oto_trio.plugin_api import Config, Exchange, Plugin, Response, Step
from oto_trio.plugin_api.registry import PluginClass, Registry, builtin_plugins


class CountConfig(Config, frozen=True):
    start: Annotated[int, Meta(description="Where to start.", le=12)] = 0


class _Named(Plugin[CountConfig]):
    """A base that fills in what every plugin must say."""

    name: ClassVar[str] = "A test plugin"
    description: ClassVar[str] = "For tests."
    categories: ClassVar[tuple[str, ...]] = ("Other",)


class Gate(_Named):
    id = "cp:test.Gate"

    @override
    def pre_route(self, exchange: Exchange) -> None: ...

    @override
    async def access(self, exchange: Exchange) -> None: ...

    @override
    def done(self, exchange: Exchange) -> None: ...


class Both(_Named):
    id = "cp:test.Both"

    @override
    def transform_request(self, exchange: Exchange) -> None: ...

    @override
    def transform_response(self, exchange: Exchange) -> None: ...


class Matcher(_Named):
    id = "cp:test.Matcher"

    @override
    def match_route(self, exchange: Exchange) -> bool:
        return False


class Answer(_Named):
    id = "cp:test.Answer"

    @override
    def call_backend(self, exchange: Exchange) -> Response:
        return Response(200)


class Picky(_Named):
    id = "cp:test.Picky"

    def __init__(self, config: CountConfig) -> None:
        super().__init__(config)
        if config.start == 12:
            raise ValueError("not twelve")

    @override
    def access(self, exchange: Exchange) -> None: ...


class Failing(_Named):
    id = "cp:test.Failing"

    @override
    def access(self, exchange: Exchange) -> None: ...

    @override
    def lower(self) -> tuple[Step, ...]:
        if self.config.start == 0:
            raise RuntimeError("cannot lower")
        return ("no step",)  # type: ignore[return-value]


TEST_PLUGINS: list[PluginClass] = [Gate, Both, Matcher, Answer, Picky, Failing]


@pytest.fixture(scope="session")
def registry() -> Registry:
    return builtin_plugins().extended((plugin, "test") for plugin in TEST_PLUGINS)


def route_with(*slots: dict[str, Any] | str, route_id: str = "r1", **keys: Any) -> Route:
    """Make a route with some plugin slots; a bare text is a slot of that plugin."""
    plugins = [{"plugin": slot} if isinstance(slot, str) else slot for slot in slots]
    return read_route(
        {
            "id": route_id,
            "name": "a route",
            "frontend": {"domains": ["api.localhost/users"]},
            "backend": {"targets": [{"hostname": "127.0.0.1", "port": 9000}]},
            "plugins": plugins,
            **keys,
        }
    )


@pytest.fixture(scope="session")
def make_route() -> Any:
    return route_with
