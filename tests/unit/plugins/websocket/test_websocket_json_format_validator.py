"""Messages that a JSON schema accepts."""

import json
from typing import Any

import pytest

from oto_trio.plugin_api import Message, Reject
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.plugins.websocket.websocket_json_format_validator import (
    WebsocketJsonFormatValidator,
    WebsocketJsonFormatValidatorConfig,
)

REFUSED = Reject(1008, "failed to validate message")


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        ('{"name": 1}', True),
        (b'{"name": 1}', True),
        ('{"nam": 1}', False),
        ("[]", False),
        ("no json", False),
        (b"\xff\xfe", False),
        ("[" * 100_000, False),
    ],
)
def test_what_the_default_schema_accepts(data: str | bytes, *, passes: bool) -> None:
    plugin = WebsocketJsonFormatValidator(WebsocketJsonFormatValidatorConfig())
    assert plugin.on_request_message(Message(data), None) == (None if passes else REFUSED)


def test_the_specification_says_how_the_schema_is_read() -> None:
    schema = json.dumps({"prefixItems": [{"type": "string"}]})
    for specification, passes in {
        "https://json-schema.org/draft/2020-12/schema": False,
        "http://json-schema.org/draft-07/schema#": True,  # knows no prefixItems
    }.items():
        config = WebsocketJsonFormatValidatorConfig(schema=schema, specification=specification)
        answer = WebsocketJsonFormatValidator(config).on_request_message(Message("[1]"), None)
        assert (answer is None) is passes, specification


def test_a_reference_within_the_schema_is_followed_and_no_other() -> None:
    schema = {"$defs": {"n": {"type": "number"}}, "items": {"$ref": "#/$defs/n"}}
    config = WebsocketJsonFormatValidatorConfig(schema=json.dumps(schema))
    plugin = WebsocketJsonFormatValidator(config)
    assert plugin.on_request_message(Message("[1]"), None) is None
    assert plugin.on_request_message(Message('["a"]'), None) == REFUSED
    schema = {"items": {"$ref": "http://127.0.0.1:9/elsewhere"}}
    config = WebsocketJsonFormatValidatorConfig(schema=json.dumps(schema))
    with pytest.raises(Exception, match="elsewhere"):
        WebsocketJsonFormatValidator(config).on_request_message(Message("[1]"), None)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"schema": "{"}, "schema: not JSON"),
        ({"schema": "5"}, "schema: a JSON schema is an object"),
        ({"schema": '{"type": "odd"}'}, r"schema: \$\.type"),
        ({"specification": "urn:none"}, "specification: 'urn:none' is no dialect"),
        ({"schema": '{"$schema": 5}'}, "specification: 5 is no dialect"),
        ({"specification": "http://["}, "specification: 'http://\\[' is no dialect"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_when_it_is_written(
    config: dict[str, Any], said: str
) -> None:
    registry = {plugin.id: plugin for plugin in builtin_plugins()}
    assert WebsocketJsonFormatValidator.id in registry
    with pytest.raises((PluginError, ValueError), match=said):
        WebsocketJsonFormatValidatorConfig(**config)
