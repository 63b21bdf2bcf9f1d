"""Service descriptors in Otoroshi's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from oto_trio.model.document import inspect_document, read_document, write_document
from oto_trio.model.errors import EntityError
from oto_trio.model.service_descriptor import ServiceDescriptor, service_descriptor_template

BARE = {"id": "s", "domain": "oto.tools", "subdomain": "api"}
PLACES = {
    "enabled": True,
    "headerName": None,
    "queryName": None,
    "cookieName": None,
    "pathName": None,
}
TLS: dict[str, Any] = {
    "certs": [],
    "trustedCerts": [],
    "mtls": False,
    "loose": False,
    "trustAll": False,
}
SCRIPTS: dict[str, Any] = {"enabled": False, "refs": [], "config": {}, "excludedPatterns": []}
NO_VERIFIER: dict[str, Any] = {
    "type": "ref",
    "ids": [],
    "id": None,
    "enabled": False,
    "excludedPatterns": [],
}


def signed_with(secret: str) -> dict[str, Any]:
    return {"type": "HSAlgoSettings", "size": 512, "secret": secret, "base64": False}


def written(**keys: Any) -> dict[str, Any]:
    return write_document(read_document(ServiceDescriptor, {**BARE, **keys}))


def test_identity_and_targets_have_their_defaults() -> None:
    shown = written(targets=[{"host": "h:1"}])
    assert list(shown.items())[:20] == [
        ("_loc", {"tenant": "default", "teams": ["default"]}),
        ("id", "s"),
        ("groupId", "default"),
        ("groups", ["default"]),
        ("name", "s"),
        ("description", ""),
        ("env", "prod"),
        ("domain", "oto.tools"),
        ("subdomain", "api"),
        ("tags", []),
        ("metadata", {}),
        ("targetsLoadBalancing", {"type": "RoundRobin"}),
        (
            "targets",
            [
                {
                    "host": "h:1",
                    "scheme": "https",
                    "weight": 1,
                    "mtlsConfig": TLS,
                    "tags": [],
                    "metadata": {},
                    "protocol": "HTTP/1.1",
                    "predicate": {"type": "AlwaysMatch"},
                    "backup": False,
                    "ipAddress": None,
                }
            ],
        ),
        ("root", "/"),
        ("matchingRoot", None),
        ("stripPath", True),
        ("localHost", "localhost:8080"),
        ("localScheme", "http"),
        ("redirectToLocal", False),
        ("enabled", True),
    ]


def test_flags_have_their_defaults() -> None:
    shown = written()
    on = {key for key, value in shown.items() if value is True}
    off = {key for key, value in shown.items() if value is False}
    assert on == {
        *("stripPath", "enabled", "forceHttps", "enforceSecureCommunication", "sendInfoToken"),
        *("sendStateChallenge", "sendOtoroshiHeadersBack", "overrideHost", "allowHttp10"),
        *("handleLegacyDomain", "secComUseSameAlgo"),
    }
    assert off == {
        *("redirectToLocal", "userFacing", "privateApp", "logAnalyticsOnServer"),
        *("useAkkaHttpClient", "useNewWSClient", "tcpUdpTunneling", "detectApiKeySooner"),
        *("maintenanceMode", "buildMode", "strictlyPrivate", "readOnly", "xForwardedHeaders"),
        *("letsEncrypt", "issueCert"),
    }
    assert shown["issueCertCA"] is None


def test_the_exchange_protocol_has_its_defaults() -> None:
    assert {key: value for key, value in written().items() if key.startswith("secCom")} == {
        "secComHeaders": {
            "claimRequestName": None,
            "stateRequestName": None,
            "stateResponseName": None,
        },
        "secComTtl": 30000,
        "secComVersion": "V1",
        "secComInfoTokenVersion": "Legacy",
        "secComExcludedPatterns": [],
        "secComSettings": signed_with("${config.app.claim.sharedKey}"),
        "secComUseSameAlgo": True,
        "secComAlgoChallengeOtoToBack": signed_with("secret"),
        "secComAlgoChallengeBackToOto": signed_with("secret"),
        "secComAlgoInfoToken": signed_with("secret"),
    }


def test_patterns_and_headers_are_empty() -> None:
    shown = written()
    for key in ("securityExcludedPatterns", "publicPatterns", "privatePatterns"):
        assert shown[key] == []
    for key in ("removeHeadersIn", "removeHeadersOut", "hosts", "paths", "transformerRefs"):
        assert shown[key] == []
    for key in ("additionalHeaders", "missingOnlyHeadersIn", "headersVerification"):
        assert shown[key] == {}
    for key in ("additionalHeadersOut", "missingOnlyHeadersOut", "matchingHeaders"):
        assert shown[key] == {}
    for key in ("authConfigRef", "clientValidatorRef", "transformerRef"):
        assert shown[key] is None


def test_the_parts_have_their_defaults() -> None:
    shown = written()
    assert shown["ipFiltering"] == {"whitelist": [], "blacklist": []}
    assert shown["api"] == {"exposeApi": False, "openApiDescriptorUrl": None}
    assert (shown["healthCheck"]["enabled"], shown["healthCheck"]["url"]) == (False, "/")
    assert shown["clientConfig"] == {
        "useCircuitBreaker": True,
        "retries": 1,
        "maxErrors": 20,
        "retryInitialDelay": 50,
        "backoffFactor": 2,
        "callTimeout": 30000,
        "callAndStreamTimeout": 120000,
        "connectionTimeout": 10000,
        "idleTimeout": 60000,
        "globalTimeout": 30000,
        "sampleInterval": 2000,
        "proxy": {},
        "customTimeouts": [],
        "cacheConnectionSettings": {"enabled": False, "queueSize": 2048},
    }
    assert shown["canary"] == {"enabled": False, "traffic": 0.2, "targets": [], "root": "/"}
    assert shown["gzip"] == {
        "enabled": False,
        "excludedPatterns": [],
        "whiteList": ["text/*", "application/javascript", "application/json"],
        "blackList": [],
        "bufferSize": 8192,
        "chunkedThreshold": 102400,
        "compressionLevel": 5,
    }
    assert shown["chaosConfig"]["enabled"] is False
    assert shown["jwtVerifier"] == NO_VERIFIER
    assert shown["cors"] == {
        "enabled": False,
        "allowOrigin": "*",
        "exposeHeaders": [],
        "allowHeaders": [],
        "allowMethods": [],
        "excludedPatterns": [],
        "maxAge": None,
        "allowCredentials": True,
    }
    assert shown["redirection"] == {
        "enabled": False,
        "code": 303,
        "to": "https://www.otoroshi.io",
    }
    assert shown["restrictions"]["allowLast"] is True
    assert shown["accessValidator"] == SCRIPTS
    assert shown["preRouting"] == SCRIPTS
    assert shown["plugins"] == {"enabled": False, "refs": [], "config": {}, "excluded": []}


def test_the_constraints_of_api_keys_have_their_defaults() -> None:
    assert written()["apiKeyConstraints"] == {
        "basicAuth": PLACES,
        "customHeadersAuth": {
            "enabled": True,
            "clientIdHeaderName": None,
            "clientSecretHeaderName": None,
        },
        "otoBearerAuth": PLACES,
        "clientIdAuth": PLACES,
        "jwtAuth": {
            **PLACES,
            "secretSigned": True,
            "keyPairSigned": True,
            "includeRequestAttributes": False,
            "maxJwtLifespanSecs": None,
        },
        "routing": {
            "noneTagIn": [],
            "oneTagIn": [],
            "allTagsIn": [],
            "noneMetaIn": {},
            "oneMetaIn": {},
            "allMetaIn": {},
            "noneMetaKeysIn": [],
            "oneMetaKeyIn": [],
            "allMetaKeysIn": [],
        },
    }


@pytest.mark.parametrize(
    ("given", "groups", "first"),
    [
        ({}, ["default"], "default"),
        ({"groupId": "g"}, ["g"], "g"),
        ({"groupId": "g", "groups": ["a", "b"]}, ["a", "b"], "a"),
        ({"groups": []}, [], None),
    ],
)
def test_the_older_group_follows_the_groups(
    given: dict[str, Any], groups: list[str], first: str | None
) -> None:
    shown = written(**given)
    assert (shown["groups"], shown["groupId"]) == (groups, first)


@pytest.mark.parametrize(
    ("given", "version"), [(1, "V1"), (2, "V2"), ("V2", "V2"), ("v2", "V2"), ("V9", "V1")]
)
def test_the_version_of_the_exchange_is_read_in_all_its_forms(given: Any, version: str) -> None:
    assert written(secComVersion=given)["secComVersion"] == version


def test_the_older_name_of_tunneling_is_read() -> None:
    shown = written(tcpTunneling=True)
    assert shown["tcpUdpTunneling"] is True
    assert "tcpTunneling" not in shown


@pytest.mark.parametrize("other", [{}, {"a key of tomorrow": 1}])
def test_one_verifier_is_read_by_its_id(other: dict[str, Any]) -> None:
    """On both ways of reading: the second document has an unknown key."""
    older = written(jwtVerifier={"type": "ref", "id": "v", "enabled": True}, **other)
    assert older["jwtVerifier"] == {**NO_VERIFIER, "ids": ["v"], "id": "v", "enabled": True}
    both = written(jwtVerifier={"ids": ["a", "b"], "id": "old"}, **other)
    assert both["jwtVerifier"] == {**NO_VERIFIER, "ids": ["a", "b"], "id": "a"}


def test_a_verifier_in_place_is_kept_as_it_is() -> None:
    local = {"type": "local", "enabled": True, "strict": True, "source": {"type": "InHeader"}}
    assert written(jwtVerifier=local)["jwtVerifier"] == local


def test_cors_is_read_in_snake_case_and_holds_headers_in_lower_case() -> None:
    cors = {"allow_origin": "https://o", "allow_headers": ["X-A"], "max_age": 5}
    shown = written(cors=cors)["cors"]
    assert (shown["allowOrigin"], shown["allowHeaders"], shown["maxAge"]) == (
        "https://o",
        ["x-a"],
        5,
    )
    assert "allow_origin" not in shown


def test_older_forms_of_parts_are_read() -> None:
    shown = written(
        apiKeyConstraints={"basicAuth": {"cookie_name": "c", "path_name": "p"}},
        accessValidator={"enabled": True, "ref": "cp:x"},
        targets=[{"host": "h", "protocol": "http/2.0", "mtlsConfig": {"certId": "c"}}],
        gzip={"enabled": True},
    )
    basic = shown["apiKeyConstraints"]["basicAuth"]
    assert (basic["cookieName"], basic["pathName"]) == ("c", "p")
    assert shown["accessValidator"] == {**SCRIPTS, "enabled": True, "refs": ["cp:x"]}
    (target,) = shown["targets"]
    assert (target["protocol"], target["mtlsConfig"]["certs"]) == ("HTTP/2.0", ["c"])
    assert shown["gzip"]["whiteList"] == [], "only a missing gzip has Otoroshi's list"


def test_a_timeout_of_a_path_keeps_its_idle_time() -> None:
    timeouts = [{"path": "/a", "idleTimeout": 7, "connectionTimeout": 8}]
    shown = written(clientConfig={"customTimeouts": timeouts})["clientConfig"]["customTimeouts"]
    assert (shown[0]["idleTimeout"], shown[0]["connectionTimeout"]) == (7, 8)


@pytest.mark.parametrize("key", list(BARE))
def test_what_a_service_needs(key: str) -> None:
    with pytest.raises(EntityError) as caught:
        read_document(ServiceDescriptor, {k: v for k, v in BARE.items() if k != key})
    assert [p.path for p in caught.value.problems] == [f"$.{key}"]


@pytest.mark.parametrize(
    "keys",
    [
        {"privateApp": "yes"},
        {"privatePatterns": "/.*"},
        {"restrictions": [], "jwtVerifier": "v"},
        {"apiKeyConstraints": {"routing": {"oneTagIn": "gold"}}},
        {"ipFiltering": {"whitelist": "10.0.0.1"}},
    ],
)
def test_a_wrong_type_that_would_let_more_in_is_an_error(keys: dict[str, Any]) -> None:
    entity, problems = inspect_document(ServiceDescriptor, {**BARE, **keys})
    assert entity is None
    assert len(problems) == len(keys)


def test_the_template() -> None:
    template = service_descriptor_template(env="dev")
    assert template.id.startswith("service_dev_")
    assert (template.name, template.targets[0].host) == ("my-service", "changeme.cleverapps.io")
    assert not template.enforce_secure_communication
    assert not template.send_otoroshi_headers_back
    assert read_document(ServiceDescriptor, write_document(template)) == template
