"""What the plugins do with clients that are not to be served, and what they tell of those that are."""

from __future__ import annotations

from typing import Final

from tests.integration.plugins.cases.case import Case, acts, left, slot

__all__ = ["CASES"]

ANY: Final = "Accept: */*"
CURL: Final = "User-Agent: curl/8.5.0"
INFO: Final = "/.well-known/otoroshi/plugins/user-agent"
EXTRACTOR: Final = slot("NgUserAgentExtractor")
TOLD: Final = slot("AdditionalHeadersIn", headers={"X-Told": "${ctx.useragent.browser:nothing}"})
FOUND: Final = '{"browser":"cURL","browserType":"Application","browserMajorVersion":"8",'


def is_found(values: list[str]) -> bool:
    """Tell whether a field says what the client is, and says it once."""
    return len(values) == 1 and values[0].startswith(FOUND)


CASES: Final = {
    "RBAC": Case(
        {"allow": ["admin"], "deny": ["guest"]},
        (
            acts("GET /", ANY, status=403, words=b"forbidden"),
            acts("GET /out/a", ANY, status=403, words=b"forbidden"),
            left("GET /left"),
        ),
        more={"exclude": ["/left"]},
    ),
    "BlockHttpTraffic": Case(
        {},
        (
            acts(
                status=426,
                exactly=b'{"message":"All connections to this resource MUST use HTTPS and TLS"}',
                to_client={"content-type": ["application/json"]},
            ),
            left(show="tls"),
        ),
    ),
    "EndlessHttpResponse": Case(
        {"addresses": ["10.0.0.0/8"], "is_debug": True},
        (
            acts(
                "GET /",
                "X-Forwarded-For: 10.1.2.3",
                exactly=bytes(18),
                to_client={"content-type": ["application/octet-stream"]},
                to_backend=None,
            ),
            left(),
        ),
    ),
    "NgUserAgentExtractor": Case(
        {},
        (
            acts("GET /", CURL, to_backend={"x-told": ["cURL"]}),
            left("GET /", to_backend={"x-told": ["nothing"]}),
        ),
        after=(TOLD,),
    ),
    "NgUserAgentInfoEndpoint": Case(
        {},
        (
            acts(
                f"GET {INFO}",
                CURL,
                words=FOUND.encode(),
                to_client={"content-type": ["application/json"]},
                to_backend=None,
            ),
            left(f"POST {INFO}", CURL),
            left(f"GET {INFO}"),
        ),
        before=(EXTRACTOR,),
    ),
    "NgUserAgentInfoHeader": Case(
        {"header_name": "X-Client"},
        (
            acts("GET /", CURL, "X-Client: forged", to_backend={"x-client": is_found}),
            acts("GET /", "X-Client: forged", to_backend={"x-client": []}),
            left("GET /left", CURL),
        ),
        before=(EXTRACTOR,),
        more={"exclude": ["/left"]},
    ),
}
