"""The JSON of native steps, as the engine reads it."""

import msgspec
import pytest

from oto_trio.plugin_api import Phase, Step, steps


@pytest.mark.parametrize(
    ("step", "document"),
    [
        (
            steps.Redirect(301, "/x"),
            {"kind": "redirect", "phase": "pre_route", "code": 301, "to": "/x"},
        ),
        (steps.ForceHttps(), {"kind": "force_https", "phase": "pre_route", "port": None}),
        (
            steps.Refuse(503, "m", "c"),
            {"kind": "refuse", "phase": "pre_route", "status": 503, "message": "m", "cause": "c"},
        ),
        (
            steps.AllowMethods(None, ("GET",)),
            {"kind": "allow_methods", "phase": "access", "allowed": None, "forbidden": ["GET"]},
        ),
        (
            steps.RequireHeaders({"a": "b"}),
            {"kind": "require_headers", "phase": "access", "headers": {"a": "b"}},
        ),
        (
            steps.SetHeaders({"a": "b"}, Phase.TRANSFORM_REQUEST),
            {"kind": "set_headers", "phase": "transform_request", "headers": {"a": "b"}},
        ),
        (
            steps.AddMissingHeaders({"a": "b"}, Phase.TRANSFORM_RESPONSE),
            {"kind": "add_missing_headers", "phase": "transform_response", "headers": {"a": "b"}},
        ),
        (
            steps.RemoveHeaders(("a",), Phase.TRANSFORM_REQUEST),
            {"kind": "remove_headers", "phase": "transform_request", "names": ["a"]},
        ),
        (steps.OverrideHost(), {"kind": "override_host", "phase": "transform_request"}),
        (steps.XForwarded(), {"kind": "x_forwarded", "phase": "transform_request"}),
    ],
)
def test_every_kind(step: Step, document: dict[str, object]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(step)) == document


class _Kind(msgspec.Struct):
    kind: str = "x"


class _Phase(msgspec.Struct):
    step_phase: str = msgspec.field(default="x", name="phase")


class _Tagged(msgspec.Struct, tag_field="kind", tag="x"):
    other: int = 1


class _Renamed(msgspec.Struct):
    kind: str = msgspec.field(default="x", name="sort")
    phases: int = 1


@pytest.mark.parametrize(
    ("settings", "key"), [(_Kind(), "kind"), (_Phase(), "phase"), (_Tagged(), "kind")]
)
def test_settings_with_a_key_of_the_step_itself_are_refused(
    settings: msgspec.Struct, key: str
) -> None:
    step = steps.Native("thing", Phase.ACCESS, settings)
    expected = f"step 'thing': its settings {type(settings).__name__} have the key '{key}'"
    with pytest.raises(TypeError, match=expected):
        steps.encode_step(step)


def test_settings_whose_field_has_another_key_are_no_collision() -> None:
    encoded = steps.encode_step(steps.Native("thing", Phase.ACCESS, _Renamed()))
    assert msgspec.json.decode(encoded) == {
        "kind": "thing",
        "phase": "access",
        "sort": "x",
        "phases": 1,
    }
