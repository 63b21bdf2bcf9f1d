"""What other keys of a service descriptor become, or why they become nothing: for `test_services`."""

from typing import Any

from oto_trio.gateway.compile.service_slots import NG
from tests.unit.gateway.compile.service_slots_table import HS

__all__ = ["PARTS", "TOLD", "Told"]

Told = tuple[str, str]
"""Severity and path."""

TOLD: dict[str, list[tuple[dict[str, Any], list[Told]]]] = {
    "clientValidatorRef": [({"clientValidatorRef": "v"}, [("error", "$.clientValidatorRef")])],
    "accessValidator": [
        (
            {"accessValidator": {"enabled": True, "refs": ["s"]}},
            [("error", "$.accessValidator.refs")],
        ),
        ({"accessValidator": {"enabled": False, "refs": ["s"]}}, []),
    ],
    "preRouting": [
        ({"preRouting": {"enabled": True, "ref": "s"}}, [("error", "$.preRouting.refs")])
    ],
    "transformerRefs": [({"transformerRefs": ["s"]}, [("error", "$.transformerRefs")])],
    "transformerRef": [({"transformerRef": "s"}, [("error", "$.transformerRef")])],
    "transformerConfig": [({"transformerConfig": {"a": 1}}, [])],
    "jwtVerifier": [
        ({"jwtVerifier": {"type": "local", "enabled": True}}, [("error", "$.jwtVerifier")]),
        ({"jwtVerifier": {"type": "local", "enabled": False}}, []),
        ({"jwtVerifier": {"type": "local"}}, []),
        ({"jwtVerifier": {"type": "global", "id": "v"}}, [("error", "$.jwtVerifier")]),
        ({"jwtVerifier": {"type": "ref", "enabled": "true"}}, [("error", "$.jwtVerifier.enabled")]),
        (
            {"jwtVerifier": {"type": "ref", "enabled": True, "ids": "v"}},
            [("error", "$.jwtVerifier.ids")],
        ),
    ],
    "plugins": [
        (
            {"plugins": {"enabled": True, "refs": ["cp:otoroshi.plugins.hmac.HMACValidator"]}},
            [("error", "$.plugins.refs[0]")],
        ),
        ({"plugins": {"enabled": False, "refs": ["cp:x.Y"]}}, []),
        (
            {
                "plugins": {
                    "enabled": True,
                    "refs": [f"{NG}StaticResponse"],
                    "config": {"StaticResponse": 1},
                }
            },
            [("error", "$.plugins.config.StaticResponse")],
        ),
    ],
    "gzip": [({"gzip": {"enabled": True}}, [("warning", "$.gzip")])],
    "canary": [
        ({"canary": {"enabled": True}}, [("warning", "$.canary")]),
        (
            {"canary": {"enabled": True, "targets": [{"host": "h:x"}]}},
            [("error", "$.canary.targets[0].host"), ("warning", "$.canary")],
        ),
    ],
    "chaosConfig": [({"chaosConfig": {"enabled": True}}, [("warning", "$.chaosConfig")])],
    "targets": [({"targets": [{"host": "h:x"}]}, [("error", "$.targets[0].host")])],
    "letsEncrypt": [({"letsEncrypt": True}, [("warning", "$.letsEncrypt")])],
    "redirectToLocal": [({"redirectToLocal": True}, [("warning", "$.redirectToLocal")])],
    "localHost": [({"localHost": "l:1"}, [])],
    "localScheme": [({"localScheme": "https"}, [])],
    "logAnalyticsOnServer": [
        ({"logAnalyticsOnServer": True}, [("warning", "$.logAnalyticsOnServer")])
    ],
    "detectApiKeySooner": [({"detectApiKeySooner": True}, [("warning", "$.detectApiKeySooner")])],
    "clientConfig": [
        (
            {"clientConfig": {"useCircuitBreaker": False}},
            [("warning", "$.clientConfig.useCircuitBreaker")],
        )
    ],
    "secComSettings": [
        (
            {"sendInfoToken": True, "secComSettings": {**HS, "secret": "${config.no.such}"}},
            [("error", "$.secComSettings.secret")],
        )
    ],
}

PARTS: dict[str, list[tuple[dict[str, Any], str, Any]]] = {
    # key: what is written, where in the route it shows, and how
    "_loc": [
        (
            {"_loc": {"tenant": "t", "teams": ["a"]}},
            "_loc",
            {"tenant": "t", "teams": ["a"]},
        )
    ],
    "id": [({"id": "other"}, "id", "other")],
    "groupId": [({"groupId": "g"}, "groups", ["g"])],
    "groups": [({"groups": ["g", "h"], "groupId": "x"}, "groups", ["g", "h"])],
    "name": [({"name": "n"}, "name", "n"), ({}, "name", "s")],
    "description": [({"description": "d"}, "description", "d")],
    "env": [
        ({"env": "dev"}, "tags", ["env:dev"]),
        ({"env": "dev"}, "metadata.otoroshi-core-env", "dev"),
        ({"env": "dev"}, "frontend.domains", ["api.dev.oto.tools/"]),
        ({"env": "dev", "subdomain": ""}, "frontend.domains", ["dev.oto.tools/"]),
        # As Otoroshi's conversion has it.
        ({"subdomain": ""}, "frontend.domains", ["prod.oto.tools/"]),
    ],
    "domain": [({"domain": "a.test"}, "frontend.domains", ["api.a.test/"])],
    "subdomain": [({"subdomain": "b"}, "frontend.domains", ["b.oto.tools/"])],
    "tags": [({"tags": ["t"]}, "tags", ["t", "env:prod"])],
    "metadata": [
        (
            {"metadata": {"a": "b"}},
            "metadata",
            {"a": "b", "otoroshi-core-legacy": "true", "otoroshi-core-env": "prod"},
        ),
        ({"metadata": {"otoroshi-core-capture": "true"}}, "capture", True),
        ({"metadata": {"otoroshi-core-export-reporting": "true"}}, "export_reporting", True),
    ],
    "targetsLoadBalancing": [
        ({"targetsLoadBalancing": {"type": "Random"}}, "backend.load_balancing.type", "Random")
    ],
    "root": [({"root": "/r"}, "backend.root", "/r")],
    "matchingRoot": [
        ({"matchingRoot": "/m"}, "frontend.domains", ["api.oto.tools/m"]),
        (
            {"matchingRoot": "/m", "handleLegacyDomain": False, "hosts": ["h.test"]},
            "frontend.domains",
            ["h.test/m"],
        ),
    ],
    "stripPath": [
        ({}, "frontend.strip_path", True),
        ({"stripPath": False}, "frontend.strip_path", False),
    ],
    "hosts": [
        (
            {"hosts": ["a.test", "*.b.test"]},
            "frontend.domains",
            [
                "a.test/",
                "*.b.test/",
                "api.oto.tools/",
            ],
        ),
        ({"hosts": ["api.oto.tools"]}, "frontend.domains", ["api.oto.tools/"]),
    ],
    "paths": [
        (
            {"paths": ["/p", "/q"], "hosts": ["h.test"], "matchingRoot": "/m"},
            "frontend.domains",
            [
                "h.test/p",
                "api.oto.tools/p",
                "h.test/q",
                "api.oto.tools/q",
                "h.test/m",
                "api.oto.tools/m",
            ],
        )
    ],
    "handleLegacyDomain": [
        ({"hosts": ["h.test"], "handleLegacyDomain": False}, "frontend.domains", ["h.test/"])
    ],
    "enabled": [({"enabled": False}, "enabled", False)],
    "userFacing": [({"userFacing": True}, "metadata.otoroshi-core-user-facing", "true")],
    "useAkkaHttpClient": [
        ({"useAkkaHttpClient": True}, "metadata.otoroshi-core-use-akka-http-client", "true")
    ],
    "useNewWSClient": [
        ({"useNewWSClient": True}, "metadata.otoroshi-core-use-akka-http-ws-client", "true")
    ],
    "letsEncrypt": [
        ({"letsEncrypt": True}, "metadata.otoroshi-core-issue-lets-encrypt-certificate", "true")
    ],
    "issueCert": [({"issueCert": True}, "metadata.otoroshi-core-issue-certificate", "true")],
    "issueCertCA": [
        (
            {"issueCert": True, "issueCertCA": "ca"},
            "metadata.otoroshi-core-issue-certificate-ca",
            "ca",
        ),
        ({"issueCert": True}, "metadata.otoroshi-core-issue-certificate-ca", ""),
    ],
    "api": [
        (
            {"api": {"exposeApi": True, "openApiDescriptorUrl": "/doc"}},
            "metadata.otoroshi-core-openapi-url",
            "/doc",
        )
    ],
    "matchingHeaders": [({"matchingHeaders": {"X-A": "b"}}, "frontend.headers", {"X-A": "b"})],
    "healthCheck": [
        ({}, "backend.health_check", None),
        ({"healthCheck": {"enabled": True, "url": "/up"}}, "backend.health_check.url", "/up"),
    ],
}
