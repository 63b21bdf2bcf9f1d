"""What the plugins on headers, cookies and queries do."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Final

from tests.integration.plugins.cases.case import BACKEND, Case, Wanted, acts, answer, left, slot
from tests.integration.plugins.cases.entities import KEY, bearing

__all__ = ["CASES"]

USER: Final = slot("NgJwtUserExtractor", verifier="users", strict=False)
"""The slot in front of plugins that look at the user: whoever has a token."""

NO_KEYS: Final = slot("ApikeyCalls", mandatory=False)
"""The slot in front of plugins that look at the API key, if there is one."""


def one(pattern: str) -> Wanted:
    """Want one value of this form."""
    return lambda values: len(values) == 1 and re.fullmatch(pattern, values[0])


def is_moment(values: list[str]) -> bool:
    """Want one moment, as Otoroshi writes it."""
    return (
        len(values) == 1
        and abs(
            datetime.strptime(values[0], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
            - datetime.now().astimezone().timestamp()
        )
        < 60
    )


LONG: Final = "abcdefgh"

TRACE: Final = b"at line 1 of secrets.py\n" * 5000
"""What nobody outside should read; longer than what is reported of it."""

HEADERS: Final = {
    "AdditionalHeadersIn": Case(
        {"headers": {"X-Who": "${req.method} ${req.path}", "X-Set": "ours"}},
        (
            acts(
                "GET /p",
                "X-Set: theirs",
                "X-Kept: 1",
                to_backend={"X-Who": ["GET /p"], "X-Set": ["ours"], "X-Kept": ["1"]},
            ),
            left("GET /p", "X-Kept: 1", to_backend={"X-Kept": ["1"]}, to_client={"X-Set": []}),
        ),
    ),
    "AdditionalHeadersOut": Case(
        {"headers": {"X-Set": "${req.query.q}"}},
        (
            acts(
                answered=answer("X-Set: theirs", "X-Kept: 1"),
                to_client={"X-Set": ["1"], "X-Kept": ["1"]},
            ),
            acts("GET /?q=a%0d%0aX-B:%20c", to_client={"X-Set": ["a??X-B: c"], "X-B": []}),
            left(to_backend={"X-Set": []}),
        ),
    ),
    "MissingHeadersIn": Case(
        {"headers": {"X-A": "ours"}},
        (
            acts(to_backend={"X-A": ["ours"]}),
            left("GET /", "x-a: theirs", to_backend={"X-A": ["theirs"]}),
        ),
    ),
    "MissingHeadersOut": Case(
        {"headers": {"X-A": "ours"}},
        (
            acts(to_client={"X-A": ["ours"]}),
            left(answered=answer("x-a: theirs"), to_client={"X-A": ["theirs"]}),
        ),
    ),
    "RemoveHeadersIn": Case(
        {"header_names": ["X-Gone"]},
        (
            acts("GET /", "x-gone: 1", "X-Kept: 2", to_backend={"X-Gone": [], "X-Kept": ["2"]}),
            left("GET /", "X-Kept: 2", to_backend={"X-Kept": ["2"]}),
        ),
    ),
    "RemoveHeadersOut": Case(
        {"header_names": ["X-Gone"]},
        (
            acts(
                answered=answer("x-gone: 1", "X-Kept: 2"),
                to_client={"X-Gone": [], "X-Kept": ["2"]},
            ),
            left("GET /", "X-Gone: 1", to_backend={"X-Gone": ["1"]}),
        ),
    ),
    "HeadersValidation": Case(
        {"headers": {"x-kind": "Regex(a+)"}},
        (
            left("GET /", "X-Kind: aaa"),
            left("GET /", "X-Kind: aaa", "x-kind: a"),
            acts("GET /", "X-Kind: aaa", "X-Kind: b", status=400),
            acts("GET /", "X-Kind: ab", "Accept: */*", status=400, words=b"bad request"),
            acts(status=400),
        ),
    ),
    "LimitHeaderInTooLong": Case(
        {"value": 5},
        (
            acts("GET /", f"X-Long: {LONG}", to_backend={"X-Long": ["abcd"]}),
            left("GET /", "X-Short: abcde", to_backend={"X-Short": ["abcde"]}),
        ),
    ),
    "LimitHeaderOutTooLong": Case(
        {"value": 5},
        (
            acts(answered=answer(f"X-Long: {LONG}"), to_client={"X-Long": ["abcd"]}),
            left(answered=answer("X-Short: abcde"), to_client={"X-Short": ["abcde"]}),
        ),
    ),
    "RejectHeaderInTooLong": Case(
        {"value": 25},
        (
            acts("GET /", f"X-Long: {'a' * 26}", to_backend={"X-Long": []}),
            left("GET /", f"X-Short: {'a' * 25}", to_backend={"X-Short": ["a" * 25]}),
        ),
    ),
    "RejectHeaderOutTooLong": Case(
        {"value": 5},
        (
            acts(answered=answer(f"X-Long: {LONG}"), to_client={"X-Long": []}),
            left(answered=answer("X-Short: abcde"), to_client={"X-Short": ["abcde"]}),
        ),
    ),
    "OverrideHost": Case(
        {},
        (
            acts(to_backend={"Host": ["127.0.0.1"]}),
            left("GET /left", to_backend={"Host": one(r"overridehost(-bare)?\.plugin\.test")}),
        ),
        more={"exclude": ["/left"]},
    ),
    "OverrideLocationHeader": Case(
        {"matching_hostnames": ["also.test"]},
        (
            acts(
                answered=answer(f"Location: {BACKEND}/x?y", status="302 Found"),
                status=302,
                to_backend={},
                to_client={"Location": ["http://overridelocationheader.plugin.test/x?y"]},
            ),
            acts(
                answered=answer("Location: https://also.test:9/z", status="201 Created"),
                status=201,
                to_backend={},
                to_client={"Location": ["http://overridelocationheader.plugin.test/z"]},
            ),
            left(
                answered=answer("Location: http://other.test/x", status="302 Found"),
                status=302,
                to_client={"Location": ["http://other.test/x"]},
            ),
        ),
    ),
    "OtoroshiHeadersIn": Case(
        {},
        (
            acts(
                "GET /",
                "Otoroshi-Request-Id: forged",
                to_backend={
                    "Otoroshi-Proxied-Host": ["otoroshiheadersin.plugin.test"],
                    "Otoroshi-Request-Id": one(r"\d{16,19}"),
                    "Otoroshi-Request-Timestamp": is_moment,
                },
            ),
            left("GET /left", to_backend={"Otoroshi-Proxied-Host": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "SendOtoroshiHeadersBack": Case(
        {},
        (
            acts(
                answered=answer("Otoroshi-Proxy-Latency: forged"),
                to_client={
                    "Otoroshi-Request-Id": one(r"\d{16,19}"),
                    "Otoroshi-Request-Timestamp": is_moment,
                    "Otoroshi-Proxy-Latency": one(r"\d{1,4}"),
                    "Otoroshi-Upstream-Latency": one(r"\d{1,4}"),
                    "Otoroshi-Daily-Calls-Remaining": [],
                },
            ),
            acts("GET /", *KEY, to_client={"Otoroshi-Daily-Calls-Remaining": one(r"9\d\d")}),
            left("GET /left", to_client={"Otoroshi-Request-Id": []}),
        ),
        before=(NO_KEYS,),
        more={"exclude": ["/left"]},
    ),
    "XForwardedHeaders": Case(
        {},
        (
            acts(
                "GET /",
                "X-Forwarded-For: 203.0.113.9",
                to_backend={
                    "X-Forwarded-For": ["203.0.113.9, 127.0.0.1"],
                    "X-Forwarded-Host": ["xforwardedheaders.plugin.test"],
                    "X-Forwarded-Proto": ["http"],
                    "X-Forwarded-Prefix": [],
                },
            ),
            acts(show="tls", to_backend={"X-Forwarded-Proto": ["https"]}),
            left("GET /left", to_backend={"X-Forwarded-For": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "ForwardedHeader": Case(
        {},
        (
            acts(
                "GET /",
                "X-Forwarded-For: 203.0.113.9",
                "Forwarded: for=evil",
                to_backend={
                    "Forwarded": [
                        'for=203.0.113.9, for=127.0.0.1;proto=http;host="forwardedheader.plugin.test"'
                    ]
                },
            ),
            left("GET /left", to_backend={"Forwarded": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "OIDCHeaders": Case(
        {
            "profile": {"send": True, "headerName": "X-Profile"},
            "idToken": {"send": True, "headerName": "X-Id", "name": "jwt", "jwt": False},
            "accessToken": {"send": True, "headerName": "X-Access", "name": "jwt"},
        },
        (
            acts(
                "GET /",
                bearing(name="Jo", plan="big"),
                "X-Profile: forged",
                to_backend={
                    "X-Profile": lambda values: json.loads(values[0])["plan"] == "big",
                    "X-Id": one(r"ey[\w-]+\.ey[\w-]+\.[\w-]+"),
                    "X-Access": lambda values: json.loads(values[0])["name"] == "Jo",
                },
            ),
            acts("GET /", "X-Profile: forged", "X-Id: forged", to_backend={"X-Profile": []}),
            left("GET /", "X-Mine: 1", to_backend={"X-Mine": ["1"], "X-Profile": []}),
        ),
        before=(USER,),
    ),
    "W3CTracing": Case(
        {"kind": "noop", "baggage": {"team": "core"}},
        (
            acts(
                "GET /",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                to_backend={
                    "traceparent": one(
                        "00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01"
                    ),
                },
            ),
            acts(to_backend={"traceparent": one("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")}),
            left("GET /left", to_backend={"traceparent": []}),
        ),
        more={"exclude": ["/left"]},
    ),
}

PREFLIGHT: Final = ("Origin: https://b.test", "Access-Control-Request-Method: PUT")
SET: Final = "b=2; Path=/; HttpOnly"

CASES: Final[dict[str, Case]] = HEADERS | {
    "AdditionalCookieIn": Case(
        {"name": "page", "value": "${req.query.q}"},
        (
            acts("GET /p?q=1", "Cookie: a=1; page=mine", to_backend={"Cookie": ["a=1; page=1"]}),
            left("GET /left", "Cookie: a=1", to_backend={"Cookie": ["a=1"]}),
        ),
        more={"exclude": ["/left"]},
    ),
    "MissingCookieIn": Case(
        {"name": "lang", "value": "fr"},
        (
            acts("GET /", "Cookie: a=1", to_backend={"Cookie": ["a=1; lang=fr"]}),
            left("GET /", "Cookie: lang=de", to_backend={"Cookie": ["lang=de"]}),
        ),
    ),
    "RemoveCookiesIn": Case(
        {"names": ["session"]},
        (
            acts("GET /", "Cookie: session=x; a=1", to_backend={"Cookie": ["a=1"]}),
            acts("GET /", "Cookie: session=x", to_backend={"Cookie": []}),
            left("GET /", "Cookie: Session=x", to_backend={"Cookie": ["Session=x"]}),
        ),
    ),
    "AdditionalCookieOut": Case(
        {"name": "b", "value": "2", "httpOnly": True, "path": "/"},
        (
            acts(answered=answer("Set-Cookie: a=1"), to_client={"Set-Cookie": ["a=1", SET]}),
            left("GET /left", to_client={"Set-Cookie": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "MissingCookieOut": Case(
        {"name": "b", "value": "2", "httpOnly": True, "path": "/"},
        (
            acts(answered=answer("Set-Cookie: a=1"), to_client={"Set-Cookie": ["a=1", SET]}),
            left(answered=answer("Set-Cookie: b=1"), to_client={"Set-Cookie": ["b=1"]}),
        ),
    ),
    "RemoveCookiesOut": Case(
        {"names": ["debug"]},
        (
            acts(
                answered=answer("Set-Cookie: a=1", "Set-Cookie: debug=1; Path=/"),
                to_client={"Set-Cookie": ["a=1"]},
            ),
            left(answered=answer("Set-Cookie: a=1"), to_client={"Set-Cookie": ["a=1"]}),
        ),
    ),
    "CookiesValidation": Case(
        {"cookies": {"a": "1"}},
        (
            acts("GET /", "Accept: */*", status=400, words=b"bad request"),
            acts("GET /", "Cookie: a=2", status=400),
            left("GET /", "Cookie: b=2; a=1"),
        ),
    ),
    "NgErrorRewriter": Case(
        {
            "ranges": [{"from": 500, "to": 503}],
            "templates": {
                "default": "<p>${status} ${status_text} ${req.method}</p>",
                "503": "<p>later</p>",
                "application/json": '{"status":${status}}',
            },
            "preserved_headers": ["Retry-After"],
            "additional_headers": {"X-Page": "yes"},
        },
        (
            left(answered=answer("Set-Cookie: a=b"), to_client={"Set-Cookie": ["a=b"]}),
            left(
                answered=answer(status="504 X", body=b"a"), status=504, exactly=b"a", to_backend={}
            ),
            acts(
                answered=answer("Set-Cookie: a=b", "Retry-After: 3", status="500 X", body=TRACE),
                status=500,
                to_backend={},
                exactly=b"<p>500 Internal Server Error GET</p>",
                to_client={
                    "Set-Cookie": [],
                    "Content-Type": ["text/html"],
                    "Retry-After": ["3"],
                    "X-Page": ["yes"],
                    "x-otoroshi-error-id": lambda values: len(values[0]) == 36,
                    "x-otoroshi-req-id": lambda values: values[0].isdigit(),
                },
            ),
            acts(
                "GET /",
                "Accept: text/html;q=0.1, application/json",
                answered=answer(status="500 X", body=TRACE),
                status=500,
                to_backend={},
                exactly=b'{"status":500}',
                to_client={"Content-Type": ["application/json"]},
            ),
            acts(
                answered=answer(status="503 X", body=TRACE),
                status=503,
                to_backend={},
                exactly=b"<p>later</p>",
            ),
        ),
    ),
    "QueryTransformer": Case(
        {"remove": ["q"], "rename": {"a": "b"}, "add": {"tenant": "x y"}},
        (
            acts("GET /p?q=1&a=2&c", target="/p?b=2&c&tenant=x%20y"),
            acts("GET /p?q=a+long+text+to+remove", target="/p?tenant=x%20y"),
            left("GET /left?q=1", target="/left?q=1"),
        ),
        more={"exclude": ["/left"]},
    ),
    "Cors": Case(
        {"allow_origin": "https://b.test", "allow_methods": ["PUT"], "max_age": 5},
        (
            acts(
                "OPTIONS /p",
                *PREFLIGHT,
                status=204,
                to_client={
                    "Access-Control-Allow-Origin": ["https://b.test"],
                    "Access-Control-Allow-Credentials": ["true"],
                    "Access-Control-Allow-Methods": ["PUT"],
                    "Access-Control-Max-Age": ["5"],
                },
            ),
            acts(
                "OPTIONS /p",
                "Origin: https://c.test",
                PREFLIGHT[1],
                status=404,
                to_client={"Otoroshi-Error-Msg": ["Cors error"]},
            ),
            acts(
                "GET /p",
                PREFLIGHT[0],
                to_client={"Access-Control-Allow-Origin": ["https://b.test"]},
            ),
            left("OPTIONS /left", *PREFLIGHT, to_client={"Access-Control-Allow-Origin": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "Http3Switch": Case(
        {"ma": 60, "domain": "h3.test", "protocols": ["h3-29", "h3"]},
        (
            acts(
                show="tls",
                answered=answer("Alt-Svc: clear"),
                to_client={
                    "Alt-Svc": ['h3="h3.test:4433"; ma=60, h3-29="h3.test:4433"; ma=60'],
                },
            ),
            acts(to_client={"Alt-Svc": ['h3="h3.test:4433"; ma=60, h3-29="h3.test:4433"; ma=60']}),
            left("GET /left", to_client={"Alt-Svc": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "SecurityHeadersPlugin": Case(
        {
            "frame_options": "DENY",
            "content_type_options": True,
            "hsts": {"enabled": True},
            "csp": {"mode": "ENABLED", "csp": "default-src 'self'"},
        },
        (
            acts(
                show="tls",
                answered=answer("X-Frame-Options: ALLOWALL", "Referrer-Policy: unsafe-url"),
                to_client={
                    "X-Frame-Options": ["DENY"],
                    "X-Content-Type-Options": ["nosniff"],
                    "Strict-Transport-Security": ["max-age=3600"],
                    "Content-Security-Policy": ["default-src 'self'"],
                    "Referrer-Policy": [],
                },
            ),
            acts(to_client={"X-Frame-Options": ["DENY"], "Strict-Transport-Security": []}),
            left("GET /left", to_client={"X-Frame-Options": []}),
        ),
        more={"exclude": ["/left"]},
    ),
}
"""The cases, by plugin."""
