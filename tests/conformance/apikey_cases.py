"""Keys, configs and requests for the twins of the API key plugins."""

import base64
import json
from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import strategies as st

from oto_trio.plugin_api.distinguished_names import normalised_name
from tests.conformance.signature_cases import client_certificate, client_chain
from tests.integration.plugins.api_keys import METHODS, basic, bearer, token

__all__ = ["AFTER", "ARRIVING", "BEFORE", "CONFIGS", "ENTITIES", "EXTRAS"]

NG: Final = "cp:otoroshi.next.plugins."


def _key(client_id: str, **more: Any) -> tuple[str, str, bytes]:
    document = {
        "clientId": client_id,
        "clientSecret": "s",
        "clientName": client_id,
        "authorizations": [{"kind": "group", "id": "default"}],
        "allowClientIdOnly": True,
        **more,
    }
    return "apikeys", client_id, json.dumps(document).encode()


def _id_of(place: int) -> str:
    """Return the client id that stands for a certificate of the test's chain."""
    one = client_certificate().certificates()[place]
    text = f"{normalised_name(one.subject)}-{int(one.serial, 16)}"
    return base64.b64encode(text.encode()).decode()


_ISSUER_ID: Final = _id_of(1)

ENTITIES: Final = [
    _key("c"),
    _key(_ISSUER_ID, tags=["stored"], validUntil=1_700_000_000_000, authorizations=[]),
    _key("tagged", tags=["a", "b"], metadata={"k": "v"}),
    _key("strict", allowClientIdOnly=False, constrainedServicesOnly=True),
    _key("off", enabled=False),
    _key("old", validUntil=1),
    _key("none", dailyQuota=0),
    _key("rotating", rotation={"enabled": True, "nextSecret": "t"}),
    _key("stranger", authorizations=[{"kind": "route", "id": "r9"}]),
    _key("tenant", _loc={"tenant": "other", "teams": []}),
    _key(
        "bound",
        restrictions={
            "enabled": True,
            "forbidden": [{"method": "GET", "path": "/users/.*"}],
            "notFound": [{"method": "POST", "path": ".*localhost/users"}],
        },
    ),
]
"""The keys of every twin's snapshot."""

_IDS = st.sampled_from([client_id for _, client_id, _ in ENTITIES] + ["nobody", "c%20d", "ü"])
_SECRETS = st.sampled_from(["s", "s", "t", "", "wrong"])
_WAYS = st.sampled_from(sorted(METHODS))


def _safe(client_id: str) -> str:
    """Return an id that can stand in a header."""
    return client_id.encode().decode("latin-1")


@st.composite
def _arriving(draw: st.DrawFn) -> tuple[tuple[str, str], ...]:
    """Draw the headers of some credentials, good and bad, sometimes several at once."""
    fields: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(1, 2))):
        shown = METHODS[draw(_WAYS)](draw(_IDS), draw(_SECRETS))
        fields += [(name, _safe(value)) for name, value in shown.headers.items()]
    noise = [
        ("Accept", "*/*"),
        ("Accept", "text/html"),
        ("X-Id", "c"),
        ("X-Secret", "s"),
        ("X-Api-Key", "otoapk_c_00"),
        ("Authorization", "Basic Yzpz"),
        ("Authorization", "basic Yzpz"),
        ("Authorization", "Bearer a.b.c"),
        ("Otoroshi-Authorization", "Basic Yzpz"),
        ("Cookie", "x-api-key=; bearer=x;; a=b"),
    ]
    fields += draw(st.lists(st.sampled_from(noise), max_size=2))
    return tuple(draw(st.permutations(fields)))


ARRIVING: Final = _arriving()
"""Headers with credentials in them."""

QUERIES: Final = st.sampled_from(
    [
        "/users/1",
        "/users/1?x-api-key=c",
        "/users?a=1&x-api-key=nobody&x-api-key=tagged&b",
        f"/users/1?basic_auth={basic('c', 's').replace('=', '%3D')}",
        f"/users/1?bearer_auth={bearer('c', 's')}&a=1",
        f"/users/1?x-api-key={bearer('tagged', 's')}",
        f"/users/1?bearer_auth={token('c', 's', exp=4_000_000_000)}",
        "/users/1?id=c&x-api-key=%ff",
    ]
)
"""Targets with credentials in them."""

_PLACES = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "header_name": st.sampled_from([None, "", "X-Id"]),
        "query_name": st.sampled_from([None, "id"]),
        "cookie_name": st.sampled_from([None, "a"]),
    },
)
_JWT = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "secret_signed": st.booleans(),
        "keypair_signed": st.booleans(),
        "include_request_attrs": st.booleans(),
        "max_jwt_lifespan_sec": st.sampled_from([None, -1, 30, 100]),
    },
)
_CUSTOM = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "client_id_header_name": st.sampled_from([None, "X-Id"]),
        "client_secret_header_name": st.sampled_from([None, "", "X-Secret"]),
    },
)
_TAGS = st.lists(st.sampled_from(["a", "b", "z"]), max_size=2)
_METADATA = st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["v", "w"]), max_size=2)
_ROUTING = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "none_tag_in": _TAGS,
        "one_tag_in": _TAGS,
        "all_tags_in": _TAGS,
        "none_meta_in": _METADATA,
        "one_meta_in": _METADATA,
        "all_meta_in": _METADATA,
        "one_meta_key_in": st.just(["k"]),
    },
)
_CALLS: dict[str, st.SearchStrategy[Any]] = {
    "extractors": st.fixed_dictionaries(
        {},
        optional={
            "client_id": _PLACES,
            "basic": _PLACES,
            "oto_bearer": _PLACES,
            "jwt": _JWT,
            "custom_headers": _CUSTOM,
        },
    ),
    "routing": _ROUTING,
    "validate": st.booleans(),
    "mandatory": st.booleans(),
    "wipe_backend_request": st.booleans(),
    "update_quotas": st.booleans(),
}
_PATTERNS = st.lists(st.sampled_from(["/users/.*", "/users", ".*1"]), max_size=2)

CONFIGS: Final[dict[str, st.SearchStrategy[dict[str, Any]]]] = {
    "ApikeyCalls": st.fixed_dictionaries({}, optional=_CALLS),
    "NgLegacyApikeyCall": st.fixed_dictionaries(
        {}, optional={**_CALLS, "public_patterns": _PATTERNS, "private_patterns": _PATTERNS}
    ),
    "ApikeyQuotas": st.just({}),
    "NgApikeyMandatoryMetadata": st.fixed_dictionaries({"metadata": _METADATA}),
    "NgApikeyMandatoryTags": st.fixed_dictionaries({"tags": _TAGS}),
    "NgCertificateAsApikey": st.fixed_dictionaries(
        {"metadata": _METADATA},
        optional={"tags": _TAGS, "read_only": st.booleans(), "daily_quota": st.integers(0, 9)},
    ),
    "NgExpectedConsumer": st.just({}),
    "SendOtoroshiHeadersBack": st.just({}),
}
"""Configs of each plugin."""

BEFORE: Final[dict[str, list[dict[str, Any]]]] = {
    name: [{"plugin": NG + "ApikeyCalls", "config": {"mandatory": False}}]
    for name in CONFIGS
    if name not in ("ApikeyCalls", "NgLegacyApikeyCall", "NgCertificateAsApikey")
}
"""The slots that must come before those that look at a key."""

AFTER: Final[dict[str, list[dict[str, Any]]]] = {
    "NgCertificateAsApikey": [
        {
            "plugin": NG + "AdditionalHeadersIn",
            "config": {"headers": {"X-Key": "${apikey.json}"}},
        }
    ]
}
"""The slots that show what a plugin found out."""

EXTRAS: Final[dict[str, dict[str, st.SearchStrategy[Any]]]] = {
    name: {
        "target": QUERIES,
        "unix_time": st.just(datetime.now(UTC).timestamp()),
    }
    for name in CONFIGS
} | {
    "NgCertificateAsApikey": {
        "client_chain": st.sampled_from([(), client_chain(), client_chain()[1:]]),
        "unix_time": st.sampled_from([1_699_999_999.0, 1_700_000_000.0]),
    }
}
"""What else their cases have: a target with credentials, and the time that tokens are made at."""
