"""NgJwtUserExtractor."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.registry import builtin_plugins
from tests.unit.plugins.token_plans import (
    NG,
    NOW,
    Sent,
    certificate_row,
    private_key,
    send,
    token,
    verifier,
)

CLAIMS: dict[str, Any] = {
    "name": "Jo",
    "email": "jo@a.test",
    "sub": "1",
    "iss": "me",
    "exp": NOW + 60,
    "n": 7,
}
REFUSED = {"error": "unauthorized", "error_description": "You have to provide a valid user"}


def extract(*fields: tuple[str, str], **config: Any) -> Sent:
    settings = {"verifier": "v", **config}
    return send("NgJwtUserExtractor", settings, *fields, entities=(verifier(),))


def test_a_good_token_makes_the_user() -> None:
    field = token(**CLAIMS)
    sent = extract(field)
    assert sent.status is None
    assert sent.user is not None
    assert len(sent.user.pop("randomId")) == 36
    assert sent.user == {
        "_loc": {"tenant": "default", "teams": ["default"]},
        "name": "Jo",
        "email": "jo@a.test",
        "authConfigId": "JwtUserExtractor@r",
        "realm": "JwtUserExtractor@r",
        "profile": CLAIMS,
        "token": {"jwt": field[1].removeprefix("Bearer "), "payload": CLAIMS},
        "otoroshiData": None,
        "createdAt": NOW * 1000,
        "expiredAt": (NOW + 3600) * 1000,
        "lastRefresh": NOW * 1000,
        "metadata": {},
        "tags": [],
    }


def test_the_token_goes_on_as_it_came_and_expressions_can_ask_for_claims() -> None:
    field = token(**CLAIMS)
    config = {"headers": {"X-N": "${token.n}", "X-Who": "${user.email}"}}
    after = (("AdditionalHeadersIn", config),)
    settings = {"verifier": "v"}
    sent = send("NgJwtUserExtractor", settings, field, entities=(verifier(),), after=after)
    assert sent.fields["authorization"] == field[1]
    assert (sent.fields["x-n"], sent.fields["x-who"]) == ("7", "jo@a.test")


@pytest.mark.parametrize(
    "fields",
    [(), (token("another secret, and a long one at that"),), (token(exp=NOW - 60),)],
    ids=["none", "forged", "expired"],
)
def test_without_a_good_token_the_answer_is_401_when_strict(fields: Any) -> None:
    refused = extract(*fields)
    assert (refused.status, refused.json) == (401, REFUSED)
    passed = extract(*fields, strict=False)
    assert (passed.status, passed.user) == (None, None)


def test_an_unknown_verifier_lets_in_nobody_when_strict() -> None:
    refused = extract(token(**CLAIMS), verifier="other")
    assert (refused.status, refused.json) == (401, REFUSED)
    assert extract(token(**CLAIMS), verifier="other", strict=False).user is None


def test_claims_about_the_token_are_stripped_from_the_profile_only() -> None:
    user = extract(token(**CLAIMS), strip=True).user
    assert user is not None
    assert user["profile"] == {"name": "Jo", "email": "jo@a.test", "n": 7}
    assert user["token"]["payload"] == CLAIMS


PERSON: dict[str, Any] = {
    "a": {"b": "Al", "m": "al@a.test"},
    "list": [{"x": "Bo"}],
    "o": {"plan": "gold"},
    "n": 1,
}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.b", "Al"),
        ("$.a.b", "Al"),
        ("$['a']['b']", "Al"),
        ("$.list[0].x", "Bo"),
        ("list", "--"),
        ("n", "--"),
        ("$['n']", "--"),
        ("$.none", "--"),
        ("$['none']", "--"),
    ],
)
@pytest.mark.parametrize("key", ["name_path", "namePath"])
def test_a_name_is_found_by_its_path(key: str, path: str, name: str) -> None:
    user = extract(token(**PERSON), **{key: path, "emailPath": "a.m", "metaPath": "$['o']"}).user
    assert user is not None
    assert (user["name"], user["email"]) == (name, "al@a.test")
    assert user["otoroshiData"] == {"plan": "gold"}


def test_a_path_that_is_none_is_refused_when_the_config_is_read() -> None:
    with pytest.raises(PluginError, match="email_path"):
        builtin_plugins().read_config(NG + "NgJwtUserExtractor", {"email_path": "$["})


@pytest.mark.parametrize(("exposed", "status"), [(True, None), (False, 401)])
def test_a_certificates_key_verifies_too(exposed: bool, status: int | None) -> None:
    kid = {"algoSettings": {"type": "KidAlgoSettings", "onlyExposedCerts": True}}
    entities = (verifier(**kid), certificate_row("ec", exposed=exposed))
    signed = jwt.encode({"name": "Jo"}, private_key("ec"), "ES256", headers={"kid": "ec"})
    field = ("Authorization", f"Bearer {signed}")
    sent = send("NgJwtUserExtractor", {"verifier": "v"}, field, entities=entities)
    assert sent.status == status
    assert (sent.user or {}).get("name") == (None if status else "Jo")


@given(
    claims=st.dictionaries(
        st.sampled_from(["name", "email", "sub", "a"]),
        st.none() | st.integers(0, 9) | st.text(max_size=3) | st.just({"b": "c"}),
    ),
    strip=st.booleans(),
    path=st.sampled_from([None, "sub", "a.b", "$.a.b", "$['a']['b']", "$..b"]),
    is_good=st.booleans(),
)
def test_the_user_is_what_the_claims_say(
    claims: dict[str, Any], strip: bool, path: str | None, is_good: bool
) -> None:
    field = token(**claims) if is_good else token("not the secret, but a long one too", **claims)
    user = extract(field, strip=strip, name_path=path, strict=False).user
    if not is_good:
        assert user is None
        return
    inner: Any = claims.get("a")
    names: dict[str | None, Any] = {None: claims.get("name"), "sub": claims.get("sub")}
    nested = "c" if inner == {"b": "c"} else None
    # A path that may lead to many places gives a list, which is no name.
    expected = None if path == "$..b" else names.get(path, nested)
    assert user is not None
    assert user["name"] == (expected if isinstance(expected, str) else "--")
    dropped = {"sub"} if strip else set[str]()
    assert user["profile"] == {k: v for k, v in claims.items() if k not in dropped}
