"""The event of a message that a plugin refused."""

import msgspec

from oto_trio.telemetry.events.identity import Instance, Snowflakes
from oto_trio.telemetry.events.websocket_event import (
    WebsocketRecord,
    read_websocket_records,
    websocket_event,
)

RECORD = WebsocketRecord(
    *(2.5, "route_1", "chat", "wss://a.test/chat?a=b", "http://10.0.0.1:9000/chat", "text"),
    *(4, 1008, "failed to validate message"),
)


def test_a_record_becomes_an_event() -> None:
    (record,) = read_websocket_records(msgspec.msgpack.encode([RECORD]))
    assert record == RECORD
    event = websocket_event(record, 1000.0, Instance(), Snowflakes(lambda: 5))
    assert event["@id"]
    assert {name: value for name, value in event.items() if name not in ("@id", "@env")} == {
        "@type": "WebsocketEvent",
        "@timestamp": 1_002_500,
        "@product": "--",
        "@serviceId": "route_1",
        "@service": "chat",
        "to": {"scheme": "wss", "host": "a.test", "uri": "/chat?a=b"},
        "target": {"scheme": "http", "host": "10.0.0.1:9000", "uri": "/chat"},
        "frame": "text",
        "frameSize": 4,
        "statusCode": 1008,
        "reason": "failed to validate message",
    }
