"""OIDCHeaders."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.registry import builtin_plugins
from tests.unit.plugins.token_plans import NG, send, token, verifier

ALL = {
    "profile": {"send": True},
    "idToken": {"send": True},
    "accessToken": {"send": True, "jwt": False},
}
NAMES = ("x-oidc-user", "x-oidc-id-token", "x-oidc-access-token")
PAYLOAD = '{"sub":\n"é\U0001f600"}'.encode()
TOKEN = f"e30.{base64.urlsafe_b64encode(PAYLOAD).decode().rstrip('=')}.x"


def headers(config: dict[str, Any], user: dict[str, Any] | None) -> dict[str, str]:
    forged = [(name, "forged") for name in NAMES]
    sent = send("OIDCHeaders", config, *forged, user=user)
    return {name: value for name, value in sent.fields.items() if name in NAMES}


def test_profile_and_tokens_are_sent_as_asked() -> None:
    user = {"profile": {"name": "é"}, "token": {"id_token": TOKEN, "access_token": "opaque"}}
    assert headers(ALL, user) == {
        "x-oidc-user": '{"name":"\\u00e9"}',
        "x-oidc-id-token": '{"sub": "\\u00e9\\ud83d\\ude00"}',
        "x-oidc-access-token": "opaque",
    }


def test_nothing_is_sent_or_touched_that_is_not_asked_for() -> None:
    assert headers({}, {"profile": {}, "token": {"id_token": TOKEN}}) == dict.fromkeys(
        NAMES, "forged"
    )


@pytest.mark.parametrize("user", [None, {}, {"token": None}, {"token": {}}, {"token": "x"}])
def test_without_tokens_the_clients_own_headers_are_taken_away(user: Any) -> None:
    assert headers(ALL, user) == {}


@pytest.mark.parametrize("member", [None, "", 1, "a.b", "a.!.c", "e30.WzFd.x", "e30.eyJ9.x"])
def test_what_is_no_token_is_two_dashes(member: Any) -> None:
    user = {"token": {"id_token": member, "access_token": "a\nb"}}
    assert headers(ALL, user) == dict.fromkeys(NAMES, "--")


def test_a_user_from_a_token_is_told_to_the_backend() -> None:
    after = (("OIDCHeaders", {"accessToken": {"send": True, "name": "jwt", "headerName": "X-T"}}),)
    field = token(sub="jo")
    sent = send("NgJwtUserExtractor", {"verifier": "v"}, field, entities=(verifier(),), after=after)
    assert sent.fields["x-t"] == '{"sub":"jo"}'


def test_a_header_that_frames_a_message_is_refused() -> None:
    config = {"profile": {"send": True, "headerName": "Content-Length"}}
    with pytest.raises(PluginError, match=r"profile\.headerName"):
        builtin_plugins().read_config(NG + "OIDCHeaders", config)
