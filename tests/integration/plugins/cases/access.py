"""What the plugins do that let some callers in, keep others out, or answer themselves."""

from __future__ import annotations

import base64
import json
import re
from typing import Final

import bcrypt

from tests.integration.plugins.cases.case import Case, acts, answer, left
from tests.integration.plugins.cases.entities import KEY, bearing
from tests.integration.plugins.cases.headers import NO_KEYS, USER

__all__ = ["CASES"]

ANY: Final = "Accept: */*"
HASH: Final = bcrypt.hashpw(b"hashed", bcrypt.gensalt(4)).decode()


def basic(text: str) -> str:
    """Return the line that shows a name and a password."""
    return "Authorization: Basic " + base64.b64encode(text.encode()).decode()


def leads_to_tls(values: list[str]) -> bool:
    """Tell whether a redirect leads to the same place on the port where this gateway speaks TLS."""
    return [re.sub(r":\d+/", ":/", value) for value in values] == [
        "https://forcehttpstraffic.plugin.test:/p?q=1"
    ]


ADDRESS: Final = b"Your IP address is not allowed"
NOT_ALLOWED: Final = b"Method not allowed"

ACCESS: Final = {
    "AllowHttpMethods": Case(
        {"allowed": ["get", "POST"], "forbidden": ["post"]},
        (
            left(),
            acts("POST /", ANY, status=405, words=NOT_ALLOWED),
            acts("DELETE /", ANY, status=405, words=NOT_ALLOWED),
        ),
    ),
    "ReadOnlyCalls": Case(
        {},
        (
            left(),
            left("HEAD /"),
            left("OPTIONS /"),
            acts("POST /", ANY, status=405, words=NOT_ALLOWED),
        ),
    ),
    "BuildMode": Case(
        {},
        (
            acts("GET /", ANY, status=503, words=b"Service under construction"),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
    "MaintenanceMode": Case(
        {},
        (
            acts("GET /", ANY, status=503, words=b"Service in maintenance mode"),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
    "GlobalMaintenanceMode": Case(
        {},
        (
            acts("GET /", ANY, status=503, words=b"Service in maintenance mode"),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
    "DisableHttp10": Case(
        {},
        (
            acts("GET /", ANY, version="1.0", status=503, words=b"HTTP/1.0 not allowed"),
            left(),
        ),
    ),
    "IpAddressAllowedList": Case(
        {"addresses": ["10.0.0.0/8", "198.51.100.*"]},
        (
            acts("GET /", ANY, status=403, words=ADDRESS),
            left("GET /", "X-Forwarded-For: 10.1.2.3"),
            left("GET /", "X-Forwarded-For: 198.51.100.7, 192.0.2.1"),
            acts("GET /", "X-Forwarded-For: 192.0.2.1", status=403),
        ),
    ),
    "IpAddressBlockList": Case(
        {"addresses": ["10.0.0.0/8", "2001:db8::/32"]},
        (
            left(),
            acts("GET /", ANY, "X-Forwarded-For: ::ffff:10.1.2.3", status=403, words=ADDRESS),
            acts("GET /", "X-Forwarded-For: 2001:DB8::1", status=403),
        ),
    ),
    "RoutingRestrictions": Case(
        {
            "forbidden": [{"method": "DELETE", "path": "/.*"}],
            "not_found": [{"method": "*", "path": "/hidden"}],
        },
        (
            left(),
            acts("DELETE /a", ANY, status=403, words=b"Forbidden"),
            acts("GET /hidden", ANY, status=404, words=b"Not Found"),
        ),
    ),
    "PublicPrivatePaths": Case(
        {"public_patterns": ["/open/.*"], "private_patterns": ["/open/not"]},
        (
            left("GET /open/a"),
            acts("GET /open/not", ANY, status=401, words=b"Not authorized"),
            acts(status=401),
            left("GET /shut", *KEY),
        ),
        before=(NO_KEYS,),
    ),
    "TimeRestrictedAccessPlugin": Case(
        {
            "rules": [
                {
                    "time_start": "00:00:00.000",
                    "time_end": "00:00:00.001",
                    "day_start": 1,
                    "day_end": 7,
                }
            ],
            "timezone": "Europe/Paris",
        },
        (
            acts(status=403, words=b"You cannot access this resource right now"),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
    "NgGenericAllowedList": Case(
        {"expression": "${req.headers.X-Kind}", "values": ["a"]},
        (
            acts("GET /", ANY, "x-kind: b", status=403, words=b"forbidden"),
            left("GET /", "X-Kind: a"),
        ),
    ),
    "NgGenericBlockList": Case(
        {"expression": "${req.headers.X-Kind}", "values": ["a"]},
        (
            acts("GET /", ANY, "X-Kind: a", status=403, words=b"forbidden"),
            left("GET /", "X-Kind: b"),
        ),
    ),
    "NgIncomingRequestValidatorAllowedDomainNames": Case(
        {"domains": ["nothing.test", "*-bare.plugin.test"]},
        (acts(status=403, exactly=b""), left("GET /left")),
        more={"exclude": ["/left"]},
    ),
    "NgIncomingRequestValidatorDeniedDomainNames": Case(
        {"domains": ["ngincoming*.plugin.test"]},
        (acts(status=403, exactly=b""), left("GET /left")),
        more={"exclude": ["/left"]},
    ),
    "ContextValidation": Case(
        {"validators": [{"path": "$.request.headers.x-kind", "value": "Regex(a+)"}]},
        (
            acts("GET /", ANY, "X-Kind: b", status=403, words=b"forbidden"),
            acts(status=403),
            left("GET /", "x-kind: aaa"),
        ),
    ),
    "SimpleBasicAuth": Case(
        {"realm": "here", "users": {"bob": "secret", "ann": HASH}},
        (
            acts(status=401, exactly=b"", to_client={"WWW-Authenticate": ['Basic realm="here"']}),
            acts("GET /", basic("bob:wrong"), status=401),
            left("GET /", basic("bob:secret")),
            acts("GET /", basic("ann:wrong"), status=401),
            left("GET /", basic("ann:hashed")),
            left("GET /", basic("ann:hashed")),
        ),
    ),
    "NgHasAllowedUsersValidator": Case(
        {"usernames": ["Jo"], "email_domains": ["@a.test"]},
        (
            acts("GET /", ANY, status=403, words=b"forbidden"),
            acts("GET /", bearing(name="Al", email="al@b.test"), status=403),
            left("GET /", bearing(name="Jo")),
            left("GET /", bearing(name="Al", email="al@a.test")),
        ),
        before=(USER,),
    ),
    "NgAuthModuleExpectedUser": Case(
        {},
        (
            acts("GET /", ANY, status=401, words=b"You're not authorized here"),
            left("GET /", bearing(name="Jo")),
        ),
        before=(USER,),
    ),
    "NgExpectedConsumer": Case(
        {},
        (
            acts("GET /", ANY, status=401, words=b"You're not authorized here"),
            left("GET /", *KEY),
        ),
        before=(NO_KEYS,),
    ),
}

EXPLOIT: Final = "${${lower:J}ndi:ldap://x}"
SHELL: Final = b'{"a":"$@1","b":"whoami"}'

SECURITY: Final = {
    "NgLog4ShellFilter": Case(
        {"status": 418, "body": "no", "parse_body": True},
        (
            left(),
            acts("GET /", f"X-A: {EXPLOIT}", status=418, exactly=b"no"),
            acts("GET /?a=%24%7Bjndi:x%7D", status=418, exactly=b"no"),
            acts("POST /", body=b"a=${jndi:ldap://x}", status=418, exactly=b"no"),
            left("POST /", body=b"a=${b}", got=b"a=${b}"),
        ),
    ),
    "React2SShellDetector": Case(
        {"block": True},
        (
            left("POST /", body=b"[1]", got=b"[1]"),
            left("GET /", body=SHELL),
            acts("POST /", body=SHELL, status=401, words=b"You're not allowed here !"),
        ),
    ),
    "NgSecurityTxt": Case(
        {
            "contact": ["a@b.test"],
            "expires": "2030-01-01T00:00:00.000Z",
            "policy": "https://p.test",
        },
        (
            acts(
                "GET /.well-known/security.txt",
                to_client={"Content-Type": ["text/plain; charset=utf-8"]},
                to_backend=None,
                exactly=b"Contact: a@b.test\nExpires: 2030-01-01T00:00:00.000Z\n"
                b"Canonical: https://ngsecuritytxt.plugin.test/.well-known/security.txt\n"
                b"Policy: https://p.test\n",
            ),
            left("GET /.well-known/security"),
        ),
    ),
    "Robots": Case(
        {"robot_txt_content": "Disallow: /\n", "header_content": "noindex"},
        (
            acts("GET /robots.txt", to_backend=None, exactly=b"Disallow: /\n"),
            acts(to_client={"X-Robots-Tag": ["noindex"]}),
            left("GET /left", to_client={"X-Robots-Tag": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "Redirection": Case(
        {"code": 307, "to": "https://b.test${req.uri}"},
        (
            acts(status=307, to_client={"Location": ["https://b.test/p?q=1"]}),
            left("GET /left", to_client={"Location": []}),
        ),
        more={"exclude": ["/left"]},
    ),
    "ForceHttpsTraffic": Case(
        {},
        (
            acts(status=303, to_client={"Location": leads_to_tls}),
            left(show="tls"),
        ),
    ),
}

BACKENDS: Final = {
    "EchoBackend": Case(
        {"limit": 4},
        (
            acts(
                "POST /p?q=1",
                "X-A: 1",
                "Content-Type: text/plain",
                body=b"abcd",
                to_backend=None,
                words=b'"method":"POST","path":"/p","raw_path":"/p","query":{"q":"1"}',
            ),
            acts("POST /p", body=b"abcde", status=413, words=b"request_body_too_large"),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
    "RequestBodyEchoBackend": Case(
        {"limit": 4},
        (
            acts(
                "POST /",
                "Content-Type: a/b",
                body=b"abcd",
                exactly=b"abcd",
                to_client={"Content-Type": ["a/b"]},
                to_backend=None,
            ),
            acts(status=204),
            acts("POST /", body=b"abcde", status=413, words=b"request_body_too_large"),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
    "MockResponses": Case(
        {
            "responses": [
                {
                    "path": "/users/:id",
                    "method": "GET",
                    "status": 203,
                    "headers": {"X-Mock": "1"},
                    "body": "user ${req.pathparams.id}",
                }
            ]
        },
        (
            acts("GET /users/7", status=203, exactly=b"user 7", to_client={"X-Mock": ["1"]}),
            left("POST /users/7"),
            left("GET /users/7/more"),
        ),
    ),
    "StaticResponse": Case(
        {
            "status": 202,
            "headers": {"X-Static": "1"},
            "body": "at ${req.path}",
            "apply_el": True,
        },
        (
            acts(status=202, exactly=b"at /p", to_client={"X-Static": ["1"]}),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
    "ConsumerEndpoint": Case(
        {},
        (
            acts(exactly=b'{"access_type":"public"}', to_backend=None),
            acts("GET /", *KEY, words=b'"clientId":"good"', to_backend=None),
            left("GET /left"),
        ),
        before=(NO_KEYS,),
        more={"exclude": ["/left"]},
    ),
    "OAuthProtectedResourceMetadata": Case(
        {"authorization_servers_override": ["https://i.test"], "scopes_supported": ["read"]},
        (
            acts(
                to_backend=None,
                words=b'"authorization_servers":["https://i.test"]',
                to_client={"Content-Type": lambda values: "json" in values[0]},
            ),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
}

TOO_LARGE: Final = json.dumps(
    {"Otoroshi-Error": "Response entity too large"}, separators=(",", ":")
)

BODIES: Final = {
    "RequestBodyLengthLimiter": Case(
        {"max_length": 4, "fail": True},
        (
            left("POST /", body=b"1234", got=b"1234"),
            acts("POST /", ANY, body=b"12345", status=413, exactly=TOO_LARGE.encode()),
        ),
    ),
    "ResponseBodyLengthLimiter": Case(
        {"max_length": 4},
        (
            acts(answered=answer(body=b"123456789"), exactly=b"1234"),
            left(answered=answer(body=b"1234"), exactly=b"1234"),
        ),
    ),
    "RequestBandwidthThrottling": Case(
        {"window_millis": "200", "throttling_quota": "20000", "fail": False},
        (
            acts("POST /", body=b"x" * 100_000, got=b"x" * 100_000, least_s=0.3),
            left("POST /", body=b"x" * 10, got=b"x" * 10),
        ),
    ),
    "ResponseBandwidthThrottling": Case(
        {"window_millis": "200", "throttling_quota": "20000", "fail": False},
        (
            acts(answered=answer(body=b"x" * 100_000), exactly=b"x" * 100_000, least_s=0.3),
            left(),
        ),
    ),
}

CASES: Final[dict[str, Case]] = ACCESS | SECURITY | BACKENDS | BODIES
"""The cases, by plugin."""
