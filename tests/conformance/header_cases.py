"""What the twins of the plugins on headers, cookies and queries are tried with."""

import re
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["CONFIGS", "EXTRAS", "without_error_ids"]

NO_CONFIG = st.just(cast("dict[str, Any]", {}))
METHODS = st.sampled_from(["GET", "post", "PUT"])
ORIGINS = ["*", "https://a.example", "https://B.example", "${req.headers.origin:none}"]
WANTED = st.sampled_from(["X-One", "x-one, X-Two", "", " , x-two ,", "*"])
PREFLIGHT = st.lists(
    st.one_of(
        st.tuples(st.just("Origin"), st.sampled_from(["https://a.example", "HTTPS://b.example"])),
        st.tuples(st.just("Access-Control-Request-Method"), METHODS),
        st.tuples(st.just("Access-Control-Request-Headers"), WANTED),
        st.tuples(st.sampled_from(["Cookie", "Authorization"]), st.just("a=b")),
    ),
    max_size=4,
).map(tuple) | st.just((("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")))

NAMES = st.sampled_from(["a", "b", "a b", "", "A", "${req.method}", "${req.query.n}"])
VALUES = st.sampled_from(["", "1", "x;y", "${req.query.v}", "${req.path}=", "\u20ac"])
PAIRS = st.sampled_from(["a=1", "b=2", "a", "a =3", "GET=4", "=5", " ", 'c="6"', "a==7"])
COOKIES = st.lists(
    st.tuples(
        st.sampled_from(["Cookie", "cookie"]),
        st.lists(PAIRS, min_size=1, max_size=4).map(";".join),
    ),
    max_size=2,
).map(tuple)
MANY_COOKIES = st.builds(
    lambda pairs, at: (("Cookie", "; ".join(pairs[:at])), ("cookie", ";".join(pairs[at:]))),
    st.permutations(["a=1", "b=2", "GET=4", "a", "c=5"]),
    st.integers(1, 5),
)
SET_COOKIES = st.lists(
    st.tuples(
        st.sampled_from(["Set-Cookie", "set-cookie", "Via"]),
        st.builds("{}{}".format, PAIRS, st.sampled_from(["", "; Path=/", ";a=b"])).map(str.strip),
    ),
    max_size=3,
).map(tuple)
QUERIES = st.sampled_from(
    [
        "/users",
        "/users?n=a&v=1",
        "/users?n=b&v=a%0d%0ab;c",
        "/users?n&v=%E2%82%AC%C3%A9",
    ]
)
COOKIE = st.fixed_dictionaries(
    {"name": NAMES, "value": VALUES},
    optional={
        "domain": st.sampled_from([None, "", "a.example", "${req.domain}"]),
        "path": st.sampled_from([None, "", "/a b"]),
        "maxAge": st.sampled_from([None, 0, -1, 60]),
        "secure": st.booleans(),
        "httpOnly": st.booleans(),
        "sameSite": st.sampled_from([None, "Strict", "Lax", "None"]),
    },
)
COOKIE_NAMES = st.fixed_dictionaries(
    {
        "names": st.lists(
            st.sampled_from(["a", "b", "GET", "A", "x"]), min_size=1, max_size=3, unique=True
        )
    }
)

PARAMETERS = st.sampled_from(["a", "b", "c d", "\u00e9", ""])
TARGETS = st.builds(
    "/users?{}".format,
    st.lists(
        st.sampled_from(
            ["a=1", "b=2", "a", "c+d=3", "c%20d=4", "%C3%A9=5", "%zz=6", "=7", "", "a=1=2", "%ff=8"]
        ),
        min_size=1,
        max_size=5,
    ).map("&".join),
).filter(lambda target: not target.endswith("?"))

LOCATIONS = st.lists(
    st.tuples(
        st.sampled_from(["Location", "location"]),
        st.sampled_from(
            [
                "http://backend.internal/x",
                "https://BACKEND.internal:9000",
                "HTTP://other.internal:1/api/x?y#z",
                "http://a@backend.internal/api",
                "http://backend.internal/apiary",
                "http://[::1]:9/api?x",
                "ftp://backend.internal/",
                "/relative",
                "//backend.internal/",
                "http:///",
                "",
            ]
        ),
    ),
    max_size=2,
).map(tuple)
SECURITY_FIELDS = st.lists(
    st.tuples(
        st.sampled_from(
            ["x-frame-options", "Strict-Transport-Security", "Content-Security-Policy", "Via"]
        ),
        st.just("a"),
    ),
    max_size=3,
).map(tuple)
LINES = st.sampled_from([None, "", "https://a.example/x"])

_TOLD = st.fixed_dictionaries(
    {"send": st.booleans(), "headerName": st.sampled_from(["X-One", "X-Two", ""])},
    optional={"jwt": st.booleans(), "name": st.sampled_from(["a", "b"])},
)
_TOKENS = st.sampled_from(
    [None, 1, "", "opaque", "two words", "é", "e30.eyJhIjoiw6kifQ.x", "e30.eyJhIjoxfQ==.x", "a.b.c"]
) | st.text(st.sampled_from("eyJ9.-_"), max_size=8)

CONFIGS: dict[str, SearchStrategy[dict[str, Any]]] = {
    "OIDCHeaders": st.fixed_dictionaries(
        {},
        optional={
            "profile": st.fixed_dictionaries(
                {"send": st.booleans(), "headerName": st.sampled_from(["X-One", ""])}
            ),
            "idToken": _TOLD,
            "accessToken": _TOLD,
        },
    ),
    "AdditionalCookieIn": st.fixed_dictionaries({"name": NAMES, "value": VALUES}),
    "AdditionalCookieOut": COOKIE,
    "Cors": st.fixed_dictionaries(
        {
            "allow_origin": st.sampled_from(ORIGINS),
            "expose_headers": st.lists(st.sampled_from(["X-One", "via"]), max_size=2),
            "allow_headers": st.lists(st.sampled_from(["X-One", "x-two", "*"]), max_size=2),
            "allow_methods": st.lists(st.sampled_from(["GET", "POST"]), max_size=2),
            "excluded_patterns": st.lists(st.sampled_from(["/users", "/users/[0-9]"]), max_size=1),
            "max_age": st.sampled_from([None, 0, 60]),
            "allow_credentials": st.booleans(),
        }
    ),
    "ForwardedHeader": NO_CONFIG,
    "MissingCookieIn": st.fixed_dictionaries({"name": NAMES, "value": VALUES}),
    "MissingCookieOut": COOKIE,
    "NgSecurityTxt": st.fixed_dictionaries(
        {
            "contact": st.lists(st.sampled_from(["", "a@b.example"]), max_size=2),
            "auto_expires": st.booleans(),
            "expires_years": st.integers(0, 100),
        },
        optional={"expires": LINES, "policy": LINES, "csaf": LINES, "hiring": LINES},
    ),
    "OverrideLocationHeader": st.fixed_dictionaries(
        {
            "matching_hostnames": st.lists(
                st.sampled_from(["other.internal", "[::1]", ""]), max_size=2
            )
        }
    ),
    "QueryTransformer": st.fixed_dictionaries(
        {
            "remove": st.lists(PARAMETERS, max_size=2),
            "rename": st.dictionaries(PARAMETERS, PARAMETERS, max_size=2),
            "add": st.dictionaries(PARAMETERS, PARAMETERS, max_size=2),
        }
    ),
    "NgErrorRewriter": st.fixed_dictionaries(
        {
            "ranges": st.lists(
                st.sampled_from(
                    [{"from": 500, "to": 599}, {"from": 404, "to": 404}, {"from": 200, "to": 203}]
                ),
                max_size=2,
            ),
            "templates": st.dictionaries(
                st.sampled_from(["default", "404", "text/html", "503-application/json"]),
                st.sampled_from(["${status} ${req.path}", "${error_id}"]),
                max_size=3,
            ),
            "export": st.booleans(),
            "log": st.just(False),
            "use_otoroshi_error_template": st.booleans(),
        }
    ),
    "Http3Switch": st.fixed_dictionaries(
        {},
        optional={
            "ma": st.sampled_from([0, 60, 2**31 - 1]),
            "domain": st.sampled_from([None, "", "a.test", "[::1]"]),
            "protocols": st.lists(st.sampled_from(["h3", "h3-29", "hq~%20"]), max_size=3),
        },
    ),
    "RemoveCookiesIn": COOKIE_NAMES,
    "RemoveCookiesOut": COOKIE_NAMES,
    "Robots": st.fixed_dictionaries(
        {
            "robot_txt_enabled": st.booleans(),
            "robot_txt_content": st.sampled_from(["", "a\u20ac\n"]),
            "header_enabled": st.booleans(),
            "header_content": st.sampled_from(["", "noindex"]),
        }
    ),
    "SecurityHeadersPlugin": st.fixed_dictionaries(
        {
            "frame_options": st.sampled_from(["DENY", "SAMEORIGIN", "DISABLED"]),
            "xss_protection": st.sampled_from(["OFF", "ON", "BLOCK", "DISABLED"]),
            "content_type_options": st.booleans(),
            "hsts": st.fixed_dictionaries(
                {},
                optional={
                    "enabled": st.booleans(),
                    "include_subdomains": st.booleans(),
                    "max_age": st.sampled_from([0, 60]),
                    "preload": st.booleans(),
                    "on_http": st.booleans(),
                },
            ),
            "csp": st.fixed_dictionaries(
                {
                    "mode": st.sampled_from(["ENABLED", "REPORT_ONLY", "DISABLED"]),
                    "csp": st.sampled_from(["", "default-src 'self'"]),
                }
            ),
            "referrer_policy": st.sampled_from(["DISABLED", "origin"]),
            "permissions_policy": st.fixed_dictionaries(
                {"enabled": st.booleans(), "policy": st.sampled_from(["", "camera=()"])}
            ),
        }
    ),
}

_COOKIES_IN = {"headers": COOKIES, "target": QUERIES}
_COOKIES_OUT = {"response_headers": SET_COOKIES, "target": QUERIES}

EXTRAS: dict[str, dict[str, SearchStrategy[Any]]] = {
    "OIDCHeaders": {
        "user": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "profile": st.none()
                | st.dictionaries(
                    st.just("a"),
                    st.sampled_from(["é\U0001f600", "\x7f\t", 1, 1.5, 1e20, [True, None]]),
                ),
                "token": st.none()
                | st.dictionaries(st.sampled_from(["a", "id_token", "access_token"]), _TOKENS),
            },
        )
    },
    "AdditionalCookieIn": _COOKIES_IN,
    "AdditionalCookieOut": _COOKIES_OUT,
    "Cors": {
        "headers": PREFLIGHT,
        "method": st.sampled_from(["OPTIONS", "GET"]),
    },
    "ForwardedHeader": {
        "socket_address": st.sampled_from(["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"]),
        "headers": st.lists(
            st.tuples(
                st.just("X-Forwarded-For"),
                st.sampled_from(
                    ["a, 1.2.3.4", "1.2.3.4:80", "[::1]:5, ::2", "::1%eth0", "1.2.3.04", ","]
                ),
            ),
            max_size=1,
        ).map(tuple),
    },
    # The port that the hook takes for granted.
    "Http3Switch": {
        "limits": st.just({"http3_ports": {"standard-listener": 443}}),
        "response_headers": st.sampled_from([(), (("Alt-Svc", "clear"), ("X-One", "a"))]),
    },
    "MissingCookieIn": _COOKIES_IN,
    "MissingCookieOut": _COOKIES_OUT,
    "NgSecurityTxt": {
        "target": st.sampled_from(["/users", "/.well-known/security.txt"]),
        # 29 February among them.
        "unix_time": st.sampled_from([1_700_000_000.123, 1_709_200_000.0, 0.0]),
    },
    "OverrideLocationHeader": {
        "response_headers": LOCATIONS,
        "status": st.sampled_from([200, 201, 300, 302, 399, 400]),
    },
    "QueryTransformer": {"target": TARGETS},
    "NgErrorRewriter": {
        "headers": st.sampled_from(
            [(), (("Accept", "application/json"),), (("Accept", "text/html;q=0.5, text/*"),)]
        ),
        "status": st.sampled_from([200, 203, 404, 500, 503]),
        "response_body": st.sampled_from([b"", b"a trace", b"x" * 70_000]),
    },
    "RemoveCookiesIn": {**_COOKIES_IN, "headers": MANY_COOKIES},
    "RemoveCookiesOut": _COOKIES_OUT,
    "Robots": {"target": st.sampled_from(["/users", "/robots.txt"])},
    "SecurityHeadersPlugin": {"response_headers": SECURITY_FIELDS},
}

_ERROR_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def without_error_ids(decision: Any) -> Any:
    """Return an answer with the random numbers of errors taken out of it."""
    if isinstance(decision, bytes):
        return _ERROR_ID.sub(b"(id)", decision)
    if isinstance(decision, tuple | list):
        return [without_error_ids(item) for item in cast("list[Any]", decision)]
    return decision
