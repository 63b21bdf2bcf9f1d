"""The native steps a plugin may lower itself to: what the engine can do without Python.

``Plugin.lower`` returns them; the compiler adds the plugin's id and the slot's path filters and encodes
them as JSON, tagged by ``kind``. The engine's interpreter is the other end of this contract.

The steps that several plugins share have a struct here. A step that belongs to one plugin is a `Native`
with the plugin's own config as its settings::

    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("cors", Phase.ACCESS, self.config),)
"""

from typing import TypeAlias

import msgspec

from oto_trio.plugin_api.phases import Phase

__all__ = [
    "AddMissingHeaders",
    "AllowMethods",
    "BodyBandwidth",
    "DomainNames",
    "ForceHttps",
    "Hook",
    "LongHeaders",
    "Native",
    "OverrideHost",
    "Redirect",
    "Refuse",
    "RemoveHeaders",
    "RequireHeaders",
    "SetHeaders",
    "Step",
    "XForwarded",
    "encode_step",
]


class Redirect(msgspec.Struct, frozen=True, tag_field="kind", tag="redirect"):
    """Answer every request with a redirect to one address."""

    code: int
    to: str
    phase: Phase = Phase.PRE_ROUTE


class ForceHttps(msgspec.Struct, frozen=True, tag_field="kind", tag="force_https"):
    """Answer 303 to the same address on https when the downstream speaks plain http.

    Args:
        port: The port to send to; ``None`` is that under which clients reach the gateway with TLS.
    """

    port: int | None = None
    phase: Phase = Phase.PRE_ROUTE


class Refuse(msgspec.Struct, frozen=True, tag_field="kind", tag="refuse"):
    """Refuse every request in Otoroshi's error format."""

    status: int
    message: str
    cause: str | None = None
    phase: Phase = Phase.PRE_ROUTE


class AllowMethods(msgspec.Struct, frozen=True, tag_field="kind", tag="allow_methods"):
    """Refuse with 405 a method that is not allowed, or forbidden; letter case does not matter.

    Args:
        allowed: ``None`` allows every method; an empty list allows none.
    """

    allowed: tuple[str, ...] | None
    forbidden: tuple[str, ...] = ()
    phase: Phase = Phase.ACCESS


class RequireHeaders(msgspec.Struct, frozen=True, tag_field="kind", tag="require_headers"):
    """Refuse with 400 unless every header meets its expectation (``plugin_api.expectation``)."""

    headers: dict[str, str]
    phase: Phase = Phase.ACCESS


class SetHeaders(msgspec.Struct, frozen=True, tag_field="kind", tag="set_headers"):
    """Set header fields, replacing those of the same name."""

    headers: dict[str, str]
    phase: Phase


class AddMissingHeaders(msgspec.Struct, frozen=True, tag_field="kind", tag="add_missing_headers"):
    """Set header fields that are absent."""

    headers: dict[str, str]
    phase: Phase


class RemoveHeaders(msgspec.Struct, frozen=True, tag_field="kind", tag="remove_headers"):
    """Remove header fields."""

    names: tuple[str, ...]
    phase: Phase


class OverrideHost(msgspec.Struct, frozen=True, tag_field="kind", tag="override_host"):
    """Set ``Host`` to the target's host name, without port."""

    phase: Phase = Phase.TRANSFORM_REQUEST


class XForwarded(msgspec.Struct, frozen=True, tag_field="kind", tag="x_forwarded"):
    """Set the ``X-Forwarded-*`` fields."""

    phase: Phase = Phase.TRANSFORM_REQUEST


class Native(msgspec.Struct, frozen=True):
    """A step of any kind that the engine has.

    Args:
        kind: Its name in the engine's table of steps.
        phase: When it runs.
        settings: What it reads, encoded flat beside kind and phase; normally the plugin's config. None of its
            keys may be `kind` or `phase`.
        undecided: Whether the step may leave the decision to the plugin's hook of the same phase.
    """

    kind: str
    phase: Phase
    settings: msgspec.Struct | None = None
    undecided: bool = False


class BodyBandwidth(msgspec.Struct, frozen=True):
    """The settings of ``body_bandwidth``, which bounds how fast a body passes."""

    window_millis: str
    throttling_quota: str
    fail: bool
    group_expr: str
    is_shared: bool


class DomainNames(msgspec.Struct, frozen=True):
    """The settings of ``domain_names``, which lets in or keeps out requests for some domains."""

    domains: tuple[str, ...] | None
    listed_pass: bool


class LongHeaders(msgspec.Struct, frozen=True):
    """The settings of ``long_headers``, which drops or cuts header fields that are too long."""

    value: int
    cut: bool


class Hook(msgspec.Struct, frozen=True):
    """Run the plugin's own hook of a phase: for a plugin that is native in other phases only."""

    phase: Phase


Step: TypeAlias = (
    Native
    | Hook
    | Redirect
    | ForceHttps
    | Refuse
    | AllowMethods
    | RequireHeaders
    | SetHeaders
    | AddMissingHeaders
    | RemoveHeaders
    | OverrideHost
    | XForwarded
)


def encode_step(step: Step) -> bytes:
    """Encode a native step as the engine reads it; a `Hook` is not one.

    Raises:
        TypeError: The settings have something that JSON does not, or a key that the step has itself.
    """
    if not isinstance(step, Native):
        return msgspec.json.encode(step)
    fields: dict[str, object] = {"kind": step.kind, "phase": step.phase}
    if step.settings is None:
        return msgspec.json.encode(fields)
    taken = fields.keys() & set(_keys_of(step.settings))
    if taken:
        key = min(taken)
        raise TypeError(
            f"step {step.kind!r}: its settings {type(step.settings).__name__} have the key {key!r}, which the step "
            f"has itself; rename the field, or give it another key with msgspec.field(name=...)"
        )
    settings = msgspec.json.encode(step.settings)
    head = msgspec.json.encode(fields)
    return head if settings == b"{}" else head[:-1] + b"," + settings[1:]


def _keys_of(settings: msgspec.Struct) -> tuple[str, ...]:
    """Return the keys that a struct has in JSON, its tag's included."""
    config = type(settings).__struct_config__
    keys = type(settings).__struct_encode_fields__
    return keys if config.tag_field is None else (*keys, config.tag_field)
