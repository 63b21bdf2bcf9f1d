"""What a plugin is: everything a plugin author imports comes from here.

The registry, the folder of user plugins and the inspection of classes are for the gateway; import them
from their modules.
"""

from oto_trio._core import ApiKey, Pattern, Template
from oto_trio.plugin_api import steps
from oto_trio.plugin_api.answers import Answer, Refusal, Response
from oto_trio.plugin_api.bodies import read_body
from oto_trio.plugin_api.config import Config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.exchange import (
    BodyTooLarge,
    ClientCertificate,
    Exchange,
    Headers,
    Request,
    ResponseHead,
    stripped_path,
)
from oto_trio.plugin_api.expectation import meets
from oto_trio.plugin_api.fields import HeaderName, HeaderValue, writable_fields
from oto_trio.plugin_api.mounted import MountedRequest
from oto_trio.plugin_api.phases import PHASE_ORDER, Phase
from oto_trio.plugin_api.plugin import Plugin
from oto_trio.plugin_api.steps import Native, Step
from oto_trio.plugin_api.templates import compiled_template, header_templates
from oto_trio.plugin_api.websockets import (
    Message,
    MessageAnswer,
    Reject,
    RejectStrategy,
    ServedSocket,
    WebSocketBackend,
    WebSocketPlugin,
)

__all__ = [
    "PHASE_ORDER",
    "Answer",
    "ApiKey",
    "BodyTooLarge",
    "ClientCertificate",
    "Config",
    "Exchange",
    "HeaderName",
    "HeaderValue",
    "Headers",
    "Message",
    "MessageAnswer",
    "MountedRequest",
    "Native",
    "Pattern",
    "Phase",
    "Plugin",
    "PluginError",
    "Refusal",
    "Reject",
    "RejectStrategy",
    "Request",
    "Response",
    "ResponseHead",
    "ServedSocket",
    "Step",
    "Template",
    "WebSocketBackend",
    "WebSocketPlugin",
    "compiled_template",
    "header_templates",
    "meets",
    "read_body",
    "steps",
    "stripped_path",
    "writable_fields",
]
