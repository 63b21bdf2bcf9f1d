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
