"""What filters are run for, so that each gets its share of the processes."""

from __future__ import annotations

from typing_extensions import override

from oto_trio import jq
from oto_trio.jq.turns import Turns
from oto_trio.model.data_exporter import read_data_exporter
from oto_trio.plugin_api import Message, Phase
from oto_trio.plugin_api.websockets import Watch
from oto_trio.plugins.security.otoroshi_infos import OtoroshiInfos, OtoroshiInfosConfig
from oto_trio.plugins.websocket.jq_websocket_message_transformer import (
    JqWebsocketMessageTransformer,
    JqWebsocketMessageTransformerConfig,
)
from oto_trio.telemetry.events.identity import Instance
from oto_trio.telemetry.exporters import make_pipeline
from oto_trio.testing import FakeExchange, call_hook
from tests.unit.jq.patience import patient


class Noted(Turns):
    """Notes who had a turn."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.whose: list[str] = []

    @override
    async def begin(self, whose: str) -> None:
        self.whose.append(whose)
        await super().begin(whose)


async def test_messages_are_their_routes() -> None:
    noted = Noted()
    config = JqWebsocketMessageTransformerConfig(request_filter="1", response_filter="2")
    plugin = JqWebsocketMessageTransformer(config)
    exchange = FakeExchange.of("GET", "http://api.localhost/chat")
    exchange.request.upgrade = "websocket"
    async with jq.serving(patient()) as filters:
        vars(filters)["_turns"] = noted
        plugin.transform_request(exchange)
        watch = exchange.watched
        assert isinstance(watch, Watch)
        ((_, known),) = watch.members
        assert await plugin.on_request_message(Message("0"), known) == Message("1")
        assert await plugin.on_response_message(Message("0"), known) == Message("2")
    assert noted.whose == 2 * [exchange.route_id]


async def test_tokens_are_their_routes() -> None:
    noted = Noted()
    plugin = OtoroshiInfos(OtoroshiInfosConfig(projection={"who": {"$jq": ".sub"}}))
    exchange = FakeExchange()
    async with jq.serving(patient()) as filters:
        vars(filters)["_turns"] = noted
        assert await call_hook(plugin, Phase.TRANSFORM_REQUEST, exchange) is None
    assert noted.whose == [exchange.route_id]


async def test_events_are_their_exporters() -> None:
    noted = Noted()
    projection = {"one": {"$jq": "1"}}
    entity = {"id": "e", "name": "e", "type": "console", "projection": projection}
    async with jq.serving(patient()) as filters:
        vars(filters)["_turns"] = noted
        pipeline = make_pipeline(read_data_exporter(entity), Instance(), filters)
        pipeline.offer({"n": 1})
        pipeline.close()
        await pipeline.run()
    assert noted.whose == ["e"]
