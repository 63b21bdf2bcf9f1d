"""What the twins of the access-control plugins are tried with: configs, headers and the rest of a request."""

import base64
from typing import TYPE_CHECKING, Any, cast

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["ARRIVALS", "CONFIGS", "EXTRAS"]

Fields = tuple[tuple[str, str], ...]

ADDRESSES = st.sampled_from(
    [
        "192.0.2.7",
        "192.0.2.8",
        "192.0.2.0/24",
        "192.0.2.9/29",
        "0.0.0.0/0",
        "192.0.*",
        "192.*.7",
        "*",
        "2001:db8::/32",
        "2001:DB8:0::1",
        "2001:db8:*",
        "::ffff:192.0.2.0/120",
        "::ffff:192.0.2.7",
        "::/0",
        "unk*",
        " 192.0.2.7 ",
        "",
    ]
)
CLAIMED = st.sampled_from(
    [
        "192.0.2.7",
        "192.0.2.14, 10.0.0.1",
        "2001:db8::1",
        "2001:DB8:0:0::1",
        "::ffff:192.0.2.7",
        "::192.0.2.7",
        "fe80::1%eth0",
        "unknown",
        "192.0.2.07",
        "192.0.2.7:80",
        "",
    ]
)
PATTERNS = st.sampled_from(
    ["/.*", "/users", "/users/[0-9]+", ".*", "a\\.localhost/.*", "b.*", "/users/?", ""]
)
ITEMS = st.lists(
    st.fixed_dictionaries({"method": st.sampled_from(["*", "get", "POST"]), "path": PATTERNS}),
    max_size=2,
)
TIMES = st.sampled_from(["00:00:00.000", "08:00", "22:13:20.123", "22:13:20", "23:59:59.999"])
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "time_start": TIMES,
            "time_end": TIMES,
            "day_start": st.integers(1, 7),
            "day_end": st.integers(1, 7),
        }
    ),
    max_size=2,
)


def basic(text: str) -> str:
    """Return the value of ``Authorization`` for ``name:password``."""
    return "Basic " + base64.b64encode(text.encode()).decode()


def forwarded_for(text: str) -> Fields:
    return (("X-Forwarded-For", text),)


def attacking(text: str) -> Fields:
    return (("X-One", text.strip()), ("Content-Length", "9"))


def authorized(text: str) -> Fields:
    return (("Authorization", text),)


CREDENTIALS = st.one_of(
    st.builds(
        basic, st.sampled_from(["bob:secret", "bob:wrong", "ann:", "eve:", "no colon", "é:é"])
    ),
    st.sampled_from(["basic Ym9iOnNlY3JldA==", "Basic", "Basic %%", "Bearer Ym9iOnNlY3JldA=="]),
)
# The second hash is that of "secret", at the lowest cost there is.
USERS = st.fixed_dictionaries(
    {},
    optional={
        "bob": st.sampled_from(
            [
                "secret",
                "$2b$04$5.G60qcJlvWDqFmlu9wmaef.BBrgw2e/H74gMNwix8f6W5ThgbrN2",
                "$2b$nonsense",
            ]
        ),
        "ann": st.just(""),
        "é": st.just("é"),
    },
)
COOKIES = st.lists(
    st.tuples(
        st.sampled_from(["Cookie", "cookie"]),
        st.lists(
            st.sampled_from(
                ["a=1", "a=2", 'a="1"', "a = 1", "b=", "a", "=1", "b=1=1", 'a="', "Ã©=1"]
            ),
            max_size=3,
        ).map("; ".join),
    ),
    max_size=2,
).map(tuple)
ATTACKS = st.lists(
    st.sampled_from(
        [
            "${",
            "}",
            "jndi:",
            "lower:j",
            "ndi:",
            "::-j",
            "J",
            "date:'j'",
            "a",
            "%24%7B",
            r"\u0024",
            "{",
            "%",
        ]
    ),
    max_size=8,
).map("".join)
LONG = st.sampled_from(["", "a", "aaaa", "aaaaaaaa", "a a   b", "\xe9" * 6])
LONG_FIELDS = st.lists(
    st.tuples(st.sampled_from(["X-One", "x-one", "X-Two", "Content-Type"]), LONG), max_size=5
).map(tuple)

GENERIC = st.fixed_dictionaries(
    {
        "expression": st.sampled_from(
            ["${req.ip_address}", "a${req.headers.X-One}", "a", "", None]
        ),
        "values": st.lists(
            st.sampled_from(["192.0.2.7", "203.0.113.9", "a", "ab", ""]), max_size=2
        ),
    }
)
DOMAINS = st.fixed_dictionaries(
    {},
    optional={
        "domains": st.lists(st.sampled_from(["A.localhost", "*.localhost", "b*", " "]), max_size=2)
    },
)
PATHS = st.lists(st.sampled_from(["$.a", "b", "$.list[*]", "$.roles[?(@ == 'x')]"]), max_size=1)
USERS_OF_REQUESTS = st.none() | st.fixed_dictionaries(
    {"name": st.sampled_from(["bob", "eve"])},
    optional={
        "email": st.sampled_from(["bob@a.test", "eve@b.test"]),
        "otoroshiData": st.sampled_from([None, {"a": 1}, {"list": []}, {"roles": ["x"]}]),
        "profile": st.sampled_from([{"b": None}, {"b": False}, {"list": [1]}]),
    },
)

CALLERS: "dict[str, SearchStrategy[Any]]" = {
    "user": st.sampled_from([None, {"name": "bob"}, {"authConfigId": "auth_1"}]),
    "apikey": st.sampled_from([None, {"clientId": "c", "clientSecret": "s", "clientName": "n"}]),
}
BODY_LENGTHS = st.fixed_dictionaries(
    {"max_length": st.sampled_from([None, 0, 4]), "fail": st.booleans()}
)
BANDWIDTH = st.fixed_dictionaries(
    {
        "window_millis": st.sampled_from(["1000", "${req.headers.X-One}"]),
        "fail": st.booleans(),
        "kind": st.sampled_from(["per_request", "per_node", "per_cluster"]),
        "group_expr": st.sampled_from(["all", "${req.headers.X-One}"]),
    }
)

ROLES = st.lists(st.sampled_from(["a", "b", "x"]), max_size=2)
ROLE_USERS = st.none() | st.fixed_dictionaries(
    {"name": st.just("bob")},
    optional={
        "tags": st.lists(st.sampled_from(["role:a", "p:role:b", "role:", "a", 1]), max_size=2),
        "metadata": st.sampled_from(
            [None, {"roles": '["a", 1]'}, {"roles": ["b"]}, {"roles": "a"}, {"r": '["x"]'}]
        ),
        "otoroshiData": st.sampled_from(
            [None, 1, {"roles": "a, ,b"}, {"roles": ["x", None]}, {"r": " b "}]
        ),
    },
)
ROLE_KEYS = st.sampled_from(
    [
        None,
        *(
            {"clientId": "c", "clientSecret": "s", "clientName": "n", **more}
            for more in (
                {},
                {"tags": ["role:a", "p:role:b"]},
                {"metadata": {"roles": '["b","x"]', "r": "a"}},
                {"tags": ["role:x"], "metadata": {"roles": "["}},
            )
        ),
    ]
)

NO_CONFIG = st.just(cast("dict[str, Any]", {}))
LENGTHS = st.fixed_dictionaries({"value": st.integers(0, 8)})

CONFIGS: "dict[str, SearchStrategy[dict[str, Any]]]" = {
    "NgAuthModuleExpectedUser": st.fixed_dictionaries(
        {"only_from": st.lists(st.sampled_from(["auth_1", "auth_2"]), max_size=1)}
    ),
    "PublicPrivatePaths": st.fixed_dictionaries(
        {
            "strict": st.booleans(),
            "private_patterns": st.lists(PATTERNS, max_size=1),
            "public_patterns": st.lists(PATTERNS, max_size=2),
        }
    ),
    "RBAC": st.fixed_dictionaries(
        {"allow": ROLES, "deny": ROLES, "allow_all": st.booleans(), "deny_all": st.booleans()},
        optional={
            "role_prefix": st.sampled_from([None, "", "p"]),
            "roles": st.just("r"),
            "user_path": st.sampled_from(["", "$.otoroshiData.r", "$.tags[*]"]),
            "apikey_path": st.just("$.metadata.r"),
            "jwt_path": st.just("$.a"),
        },
    ),
    "BlockHttpTraffic": st.fixed_dictionaries(
        {"revoke_apikeys": st.booleans(), "message": st.sampled_from([None, "", "né"])}
    ),
    "EndlessHttpResponse": st.fixed_dictionaries(
        {
            "finger": st.booleans(),
            "is_debug": st.booleans(),
            "addresses": st.lists(ADDRESSES, max_size=2),
        }
    ),
    "RequestBandwidthThrottling": BANDWIDTH,
    "RequestBodyLengthLimiter": BODY_LENGTHS,
    "ResponseBandwidthThrottling": BANDWIDTH,
    "ResponseBodyLengthLimiter": BODY_LENGTHS,
    "NgGenericAllowedList": GENERIC,
    "NgGenericBlockList": GENERIC,
    "NgHasAllowedUsersValidator": st.fixed_dictionaries(
        {
            "usernames": st.lists(st.sampled_from(["bob", "ann"]), max_size=1),
            "emails": st.lists(st.sampled_from(["bob@a.test", "ann@b.test"]), max_size=1),
            "email_domains": st.lists(st.sampled_from(["@b.test", "test", ""]), max_size=1),
            "metadata_match": PATHS,
            "otoroshi_data_not_match": PATHS,
            "profile_match": PATHS,
            "profile_not_match": PATHS,
        }
    ),
    "NgIncomingRequestValidatorAllowedDomainNames": DOMAINS,
    "NgIncomingRequestValidatorDeniedDomainNames": DOMAINS,
    "CookiesValidation": st.fixed_dictionaries(
        {
            "cookies": st.dictionaries(
                st.sampled_from(["a", "b", "é"]), st.sampled_from(["1", "", "1=1"]), max_size=2
            )
        }
    ),
    "DisableHttp10": NO_CONFIG,
    "GlobalMaintenanceMode": NO_CONFIG,
    "IpAddressAllowedList": st.fixed_dictionaries({"addresses": st.lists(ADDRESSES, max_size=3)}),
    "IpAddressBlockList": st.fixed_dictionaries({"addresses": st.lists(ADDRESSES, max_size=3)}),
    "LimitHeaderInTooLong": LENGTHS,
    "LimitHeaderOutTooLong": LENGTHS,
    "NgLog4ShellFilter": st.fixed_dictionaries(
        {"status": st.sampled_from([200, 403]), "body": st.just("no"), "parse_body": st.booleans()}
    ),
    "React2SShellDetector": st.fixed_dictionaries({"block": st.booleans()}),
    "RejectHeaderInTooLong": LENGTHS,
    "RejectHeaderOutTooLong": LENGTHS,
    "RoutingRestrictions": st.fixed_dictionaries(
        {"allow_last": st.booleans(), "allowed": ITEMS, "forbidden": ITEMS, "not_found": ITEMS}
    ),
    "SimpleBasicAuth": st.fixed_dictionaries(
        {"users": USERS, "realm": st.sampled_from(["authentication", 'a "b" \\', ""])}
    ),
    "TimeRestrictedAccessPlugin": st.fixed_dictionaries(
        {
            "rules": RULES,
            "timezone": st.sampled_from([None, "", "UTC", "Europe/Paris", "Asia/Kathmandu"]),
        }
    ),
}

ARRIVALS: "dict[str, SearchStrategy[Any]]" = {
    "RequestBodyLengthLimiter": st.sampled_from(
        [(("Content-Length", length),) for length in ("0", "4", "5", "4194305")]
    ),
    "CookiesValidation": COOKIES,
    "IpAddressAllowedList": CLAIMED.map(forwarded_for),
    "IpAddressBlockList": CLAIMED.map(forwarded_for),
    "EndlessHttpResponse": CLAIMED.map(forwarded_for),
    "LimitHeaderInTooLong": LONG_FIELDS,
    "NgLog4ShellFilter": ATTACKS.map(attacking),
    "React2SShellDetector": st.sampled_from(
        [(("Content-Length", "9"),), (("Content-Length", "9"), ("Next-Action", "a"))]
    ),
    "RejectHeaderInTooLong": LONG_FIELDS,
    "SimpleBasicAuth": CREDENTIALS.map(authorized),
}

GLOBAL_USERS = "simple_basic_auth_global_users"

EXTRAS: "dict[str, dict[str, SearchStrategy[Any]]]" = {
    "DisableHttp10": {"version": st.sampled_from(["1.0", "1.1", "2.0"])},
    "IpAddressAllowedList": {
        "socket_address": st.sampled_from(
            ["192.0.2.7", "192.0.2.15", "2001:db8::1", "::ffff:c000:207"]
        )
    },
    "IpAddressBlockList": {
        "socket_address": st.sampled_from(
            ["192.0.2.7", "192.0.2.15", "2001:db8::1", "::ffff:c000:207"]
        )
    },
    "LimitHeaderOutTooLong": {"response_headers": LONG_FIELDS},
    "NgLog4ShellFilter": {"body": ATTACKS.map(str.encode)},
    "React2SShellDetector": {
        "method": st.sampled_from(["POST", "GET"]),
        "body": st.lists(
            st.sampled_from(
                [b"$@", b"whoami", b" id ", b"uname", b"constructor:constructor", b"a"]
            ),
            max_size=2,
        ).map(b"".join),
    },
    "NgAuthModuleExpectedUser": CALLERS,
    "NgExpectedConsumer": CALLERS,
    "RBAC": {"user": ROLE_USERS, "apikey": ROLE_KEYS},
    "PublicPrivatePaths": CALLERS,
    "NgHasAllowedUsersValidator": {"user": USERS_OF_REQUESTS},
    "RejectHeaderOutTooLong": {"response_headers": LONG_FIELDS},
    "SimpleBasicAuth": {
        "plugins_config": st.sampled_from([{}, {GLOBAL_USERS: {"eve": "", "bob": "wrong"}}])
    },
    "TimeRestrictedAccessPlugin": {
        "unix_time": st.floats(1_699_900_000, 1_700_600_000).map(lambda at: round(at, 3))
    },
}
