"""API keys in Otoroshi's JSON: keys, order, defaults, legacy forms, expiry, bearer, template."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

import pytest

from oto_trio.model.api_key import (
    ApiKey,
    api_key_bearer,
    api_key_template,
    light_api_key,
    new_client_secret,
    read_api_key,
    shown_api_key,
    with_bearer,
    write_api_key,
)
from oto_trio.model.document import inspect_document
from oto_trio.model.errors import EntityError

BARE = {"clientId": "c1", "clientSecret": "s1", "clientName": "one"}


def key(**more: Any) -> ApiKey:
    return read_api_key({**BARE, **more})


def test_a_bare_key_is_written_with_every_default_in_otoroshis_order() -> None:
    assert list(write_api_key(key()).items()) == [
        ("_loc", {"tenant": "default", "teams": ["default"]}),
        ("clientId", "c1"),
        ("clientSecret", "s1"),
        ("clientName", "one"),
        ("description", ""),
        ("authorizedGroup", None),
        ("authorizedEntities", []),
        ("authorizations", []),
        ("enabled", True),
        ("readOnly", False),
        ("allowClientIdOnly", False),
        ("throttlingStrategy", None),
        ("throttlingQuota", 10_000_000),
        ("dailyQuota", 10_000_000),
        ("monthlyQuota", 10_000_000),
        ("constrainedServicesOnly", False),
        (
            "restrictions",
            {"enabled": False, "allowLast": True, "allowed": [], "forbidden": [], "notFound": []},
        ),
        (
            "rotation",
            {"enabled": False, "rotationEvery": 744, "gracePeriod": 168, "nextSecret": None},
        ),
        ("validUntil", None),
        ("tags", []),
        ("metadata", {}),
    ]


@pytest.mark.parametrize("name", ["clientId", "clientSecret", "clientName"])
@pytest.mark.parametrize("value", [None, "", "  ", 3])
def test_id_secret_and_name_are_required(name: str, value: object) -> None:
    with pytest.raises(EntityError) as caught:
        read_api_key({**BARE, name: value})
    assert [problem.path for problem in caught.value.problems] == [f"$.{name}"]


def test_the_three_spellings_of_authorisations_are_one() -> None:
    read = key(
        authorizedGroup="g1",
        authorizedEntities=["route_r1", "group_g1", "plain", "route-composition_c", "api_a"],
        authorizations=[{"kind": "route", "id": "r1"}, {"kind": "service", "id": "s"}],
    )
    written = write_api_key(read)
    assert written["authorizedEntities"] == [
        "route_r1",
        "service_s",
        "group_g1",
        "group_plain",
        "route-composition_c",
        "api_a",
    ]
    assert written["authorizations"][0] == {"kind": "route", "id": "r1"}
    assert len(written["authorizations"]) == 6
    assert written["authorizedGroup"] == "g1"
    assert write_api_key(read_api_key(written)) == written


def test_an_id_that_begins_like_a_kind_is_kept_whole() -> None:
    assert [(a.kind, a.id) for a in key(authorizedEntities=["route_route_9c"]).authorizations] == [
        ("route", "route_9c")
    ]


def test_an_unknown_kind_is_refused() -> None:
    _, problems = inspect_document(ApiKey, {**BARE, "authorizations": [{"kind": "x", "id": "y"}]})
    assert [(p.path, p.severity) for p in problems] == [("$.authorizations[0].kind", "error")]


def test_what_daikoku_sends_back_reads_without_a_warning() -> None:
    sent = {**BARE, "bearer": "otoapk_c1_x", "rotation": None, "validUntil": None}
    read, problems = inspect_document(ApiKey, sent)
    assert problems == []
    assert read is not None
    assert read.rotation.enabled is False
    assert "bearer" not in write_api_key(read)


def test_an_expired_key_reads_as_disabled() -> None:
    document = write_api_key(key(validUntil=1000))
    assert shown_api_key(document, 999)["enabled"] is True
    assert shown_api_key(document, 1000)["enabled"] is False
    assert document["enabled"] is True, "the document itself stays"


def test_the_bearer_is_an_hmac_of_its_own_start() -> None:
    digest = hmac.new(b"s1", b"otoapk_c1", hashlib.sha256).hexdigest()
    assert api_key_bearer("c1", "s1") == f"otoapk_c1_{digest}"
    shown = with_bearer(write_api_key(key()))
    assert shown["bearer"] == f"otoapk_c1_{digest}"
    assert "bearer" not in shown["rotation"]
    rotating = with_bearer(write_api_key(key(rotation={"enabled": True, "nextSecret": "s2"})))
    assert rotating["rotation"]["bearer"] == api_key_bearer("c1", "s2")
    again = read_api_key(rotating)
    assert "bearer" not in write_api_key(again)["rotation"]


def test_metadata_without_a_name_are_dropped() -> None:
    assert key(metadata={"": "x", "a": "b"}).metadata == {"a": "b"}


def test_the_light_form_holds_no_secret() -> None:
    light = light_api_key(key(tags=["t"], metadata={"a": "b"}))
    assert light == {
        "clientId": "c1",
        "clientName": "one",
        "metadata": {"a": "b"},
        "tags": ["t"],
    }


def test_the_template_is_otoroshis() -> None:
    first, second = api_key_template(), api_key_template(group="g")
    assert re.fullmatch("[a-z0-9]{16}", first.client_id)
    assert re.fullmatch("[a-z0-9]{64}", first.client_secret)
    assert first.client_name == "client-name-apikey"
    assert first.authorizations == ()
    assert first.client_id != second.client_id
    assert second.authorized_entities == ("group_g",)
    assert len(new_client_secret(128)) == 128


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"validUntil": "2030-01-01"}, "$.validUntil"),
        ({"dailyQuota": "many"}, "$.dailyQuota"),
        ({"throttlingQuota": "10"}, "$.throttlingQuota"),
        ({"monthlyQuota": 1.5}, "$.monthlyQuota"),
        ({"enabled": "no"}, "$.enabled"),
        ({"constrainedServicesOnly": "true"}, "$.constrainedServicesOnly"),
        ({"restrictions": {"enabled": "yes"}}, "$.restrictions.enabled"),
        ({"restrictions": {"allowLast": 0}}, "$.restrictions.allowLast"),
        ({"restrictions": {"forbidden": {"path": "/x"}}}, "$.restrictions.forbidden"),
        ({"restrictions": {"forbidden": [{"path": 1}]}}, "$.restrictions.forbidden[0].path"),
    ],
)
def test_a_bound_of_the_wrong_type_is_refused_and_not_forgotten(
    document: dict[str, Any], path: str
) -> None:
    with pytest.raises(EntityError) as refused:
        key(**document)
    assert [problem.path for problem in refused.value.problems] == [path]


def test_bounds_that_are_null_are_the_defaults() -> None:
    bounds = {"dailyQuota": None, "validUntil": None, "enabled": None, "restrictions": None}
    made = key(**bounds)
    assert (made.daily_quota, made.valid_until, made.enabled) == (10_000_000, None, True)
    assert key(restrictions={"enabled": None}).restrictions.enabled is False
