"""Which plugins the keys of a service descriptor become: the table that `test_services` plays."""

from typing import Any

from oto_trio.gateway.compile.service_slots import NG

__all__ = ["CHALLENGE", "HS", "SLOTS"]

HS: dict[str, Any] = {"type": "HSAlgoSettings", "size": 512, "secret": "s3cret", "base64": False}
PLACE = {
    "enabled": True,
    "header_name": None,
    "query_name": None,
    "cookie_name": None,
    "path_name": None,
}
LISTED = [{"method": "GET", "path": "/a"}]
CHALLENGE = {"enforceSecureCommunication": True}
SLOTS: dict[str, list[tuple[dict[str, Any], str, dict[str, Any], dict[str, Any]]]] = {
    # key: what is written, the plugin, what its config has, and what the slot has besides
    "forceHttps": [({"forceHttps": True}, "ForceHttpsTraffic", {}, {})],
    "overrideHost": [({"overrideHost": True}, "OverrideHost", {}, {})],
    "headersVerification": [
        ({"headersVerification": {"A": "b"}}, "HeadersValidation", {"headers": {"A": "b"}}, {})
    ],
    "maintenanceMode": [({"maintenanceMode": True}, "MaintenanceMode", {}, {})],
    "buildMode": [({"buildMode": True}, "BuildMode", {}, {})],
    "allowHttp10": [({"allowHttp10": False}, "DisableHttp10", {}, {})],
    "readOnly": [({"readOnly": True}, "ReadOnlyCalls", {}, {})],
    "ipFiltering": [
        (
            {"ipFiltering": {"whitelist": ["10.0.0.1"], "blacklist": ["10.0.0.2"]}},
            "IpAddressAllowedList",
            {"addresses": ["10.0.0.1"]},
            {},
        ),
        (
            {"ipFiltering": {"whitelist": ["10.0.0.1"], "blacklist": ["10.0.0.2"]}},
            "IpAddressBlockList",
            {"addresses": ["10.0.0.2"]},
            {},
        ),
    ],
    "redirection": [
        (
            {"redirection": {"enabled": True, "code": 301, "to": "https://a.test"}},
            "Redirection",
            {"code": 301, "to": "https://a.test"},
            {},
        )
    ],
    "additionalHeaders": [
        ({"additionalHeaders": {"A": "b"}}, "AdditionalHeadersIn", {"headers": {"A": "b"}}, {})
    ],
    "additionalHeadersOut": [
        ({"additionalHeadersOut": {"A": "b"}}, "AdditionalHeadersOut", {"headers": {"A": "b"}}, {})
    ],
    "missingOnlyHeadersIn": [
        ({"missingOnlyHeadersIn": {"A": "b"}}, "MissingHeadersIn", {"headers": {"A": "b"}}, {})
    ],
    "missingOnlyHeadersOut": [
        ({"missingOnlyHeadersOut": {"A": "b"}}, "MissingHeadersOut", {"headers": {"A": "b"}}, {})
    ],
    "removeHeadersIn": [
        ({"removeHeadersIn": ["A"]}, "RemoveHeadersIn", {"header_names": ["A"]}, {})
    ],
    "removeHeadersOut": [
        ({"removeHeadersOut": ["A"]}, "RemoveHeadersOut", {"header_names": ["A"]}, {})
    ],
    "sendOtoroshiHeadersBack": [
        ({"sendOtoroshiHeadersBack": True}, "SendOtoroshiHeadersBack", {}, {})
    ],
    "xForwardedHeaders": [({"xForwardedHeaders": True}, "XForwardedHeaders", {}, {})],
    "jwtVerifier": [
        (
            {"jwtVerifier": {"enabled": True, "ids": ["v", "w"], "excludedPatterns": ["/x"]}},
            "JwtVerification",
            {"verifiers": ["v", "w"]},
            {"exclude": ["/x"]},
        ),
        (
            {"jwtVerifier": {"type": "ref", "enabled": True, "id": "v"}},
            "JwtVerification",
            {"verifiers": ["v"]},
            {},
        ),
    ],
    "restrictions": [
        (
            {
                "restrictions": {
                    "enabled": True,
                    "allowLast": False,
                    "allowed": LISTED,
                    "forbidden": [{"method": "*", "path": "/f"}],
                    "notFound": [{"method": "*", "path": "/n"}],
                }
            },
            "RoutingRestrictions",
            {
                "allow_last": False,
                "allowed": LISTED,
                "forbidden": [{"method": "*", "path": "/f"}],
                "not_found": [{"method": "*", "path": "/n"}],
            },
            {},
        )
    ],
    "enforceSecureCommunication": [
        (
            {**CHALLENGE, "secComSettings": HS},
            "OtoroshiChallenge",
            {
                "version": "V1",
                "ttl": 30,
                "request_header_name": "Otoroshi-State",
                "response_header_name": "Otoroshi-State-Resp",
                "algo_to_backend": HS,
                "algo_from_backend": HS,
            },
            {},
        )
    ],
    "secComHeaders": [
        (
            {**CHALLENGE, "secComHeaders": {"stateRequestName": "Q", "stateResponseName": "R"}},
            "OtoroshiChallenge",
            {"request_header_name": "Q", "response_header_name": "R"},
            {},
        ),
        (
            {"sendInfoToken": True, "secComHeaders": {"claimRequestName": "C"}},
            "OtoroshiInfos",
            {"header_name": "C"},
            {},
        ),
    ],
    "secComTtl": [
        ({**CHALLENGE, "secComTtl": 45999}, "OtoroshiChallenge", {"ttl": 45}, {}),
        ({"sendInfoToken": True, "secComTtl": 45999}, "OtoroshiInfos", {"ttl": 45}, {}),
    ],
    "secComVersion": [
        ({**CHALLENGE, "secComVersion": 2}, "OtoroshiChallenge", {"version": "V2"}, {})
    ],
    "secComInfoTokenVersion": [
        ({"sendInfoToken": True}, "OtoroshiInfos", {"version": "Legacy"}, {}),
        (
            {"sendInfoToken": True, "secComInfoTokenVersion": "Latest"},
            "OtoroshiInfos",
            {"version": "Latest"},
            {},
        ),
    ],
    "secComExcludedPatterns": [
        (
            {**CHALLENGE, "secComExcludedPatterns": ["/x"]},
            "OtoroshiChallenge",
            {},
            {"exclude": ["/x"]},
        )
    ],
    "secComSettings": [
        ({"sendInfoToken": True, "secComSettings": HS}, "OtoroshiInfos", {"algo": HS}, {}),
        # The installation's own key.
        ({"sendInfoToken": True}, "OtoroshiInfos", {"algo": {**HS, "secret": "shared"}}, {}),
    ],
    "secComUseSameAlgo": [
        (
            {"sendInfoToken": True, "secComSettings": HS, "secComUseSameAlgo": False},
            "OtoroshiInfos",
            {"algo": {**HS, "secret": "secret"}},
            {},
        )
    ],
    "secComAlgoChallengeOtoToBack": [
        (
            {**CHALLENGE, "secComUseSameAlgo": False, "secComAlgoChallengeOtoToBack": HS},
            "OtoroshiChallenge",
            {"algo_to_backend": HS, "algo_from_backend": {**HS, "secret": "secret"}},
            {},
        )
    ],
    "secComAlgoChallengeBackToOto": [
        (
            {**CHALLENGE, "secComUseSameAlgo": False, "secComAlgoChallengeBackToOto": HS},
            "OtoroshiChallenge",
            {"algo_from_backend": HS, "algo_to_backend": {**HS, "secret": "secret"}},
            {},
        )
    ],
    "secComAlgoInfoToken": [
        (
            {"sendInfoToken": True, "secComUseSameAlgo": False, "secComAlgoInfoToken": HS},
            "OtoroshiInfos",
            {"algo": HS},
            {},
        )
    ],
    "sendInfoToken": [
        ({"sendInfoToken": True}, "OtoroshiInfos", {"header_name": "Otoroshi-Claim", "ttl": 30}, {})
    ],
    "cors": [
        (
            {
                "cors": {
                    "enabled": True,
                    "allowOrigin": "https://a.test",
                    "exposeHeaders": ["X-A"],
                    "allowHeaders": ["X-B"],
                    "allowMethods": ["PUT"],
                    "excludedPatterns": ["/x"],
                    "maxAge": 9,
                    "allowCredentials": False,
                }
            },
            "Cors",
            {
                "allow_origin": "https://a.test",
                "expose_headers": ["x-a"],
                "allow_headers": ["x-b"],
                "allow_methods": ["PUT"],
                "excluded_patterns": ["/x"],
                "max_age": 9,
                "allow_credentials": False,
            },
            {"exclude": ["/x"]},
        )
    ],
    "privateApp": [({"privateApp": True}, "NgLegacyAuthModuleCall", {"auth_module": None}, {})],
    "authConfigRef": [
        (
            {"privateApp": True, "authConfigRef": "m"},
            "NgLegacyAuthModuleCall",
            {"auth_module": "m", "pass_with_apikey": True},
            {},
        )
    ],
    "securityExcludedPatterns": [
        (
            {"privateApp": True, "securityExcludedPatterns": ["/x"]},
            "NgLegacyAuthModuleCall",
            {},
            {"exclude": ["/x"]},
        )
    ],
    "publicPatterns": [
        ({"publicPatterns": ["/p"]}, "NgLegacyApikeyCall", {"public_patterns": ["/p"]}, {}),
        (
            {"publicPatterns": ["/p"], "privateApp": True},
            "NgLegacyAuthModuleCall",
            {"public_patterns": ["/p"]},
            {},
        ),
    ],
    "privatePatterns": [
        ({"privatePatterns": ["/p"]}, "NgLegacyApikeyCall", {"private_patterns": ["/p"]}, {}),
        (
            {"privatePatterns": ["/p"], "privateApp": True},
            "NgLegacyAuthModuleCall",
            {"private_patterns": ["/p"]},
            {},
        ),
    ],
    "apiKeyConstraints": [
        (
            {
                "apiKeyConstraints": {
                    "basicAuth": {"headerName": "B", "cookie_name": "c"},
                    "customHeadersAuth": {"clientIdHeaderName": "I", "clientSecretHeaderName": "S"},
                    "otoBearerAuth": {"enabled": False},
                    "clientIdAuth": {"enabled": False, "queryName": "q"},
                    "jwtAuth": {
                        "secretSigned": False,
                        "keyPairSigned": False,
                        "includeRequestAttributes": True,
                        "maxJwtLifespanSecs": 5,
                    },
                    "routing": {"noneTagIn": ["n"], "allMetaIn": {"a": "b"}},
                }
            },
            "NgLegacyApikeyCall",
            {
                "extractors": {
                    "basic": {**PLACE, "header_name": "B", "cookie_name": "c"},
                    "custom_headers": {
                        "enabled": True,
                        "client_id_header_name": "I",
                        "client_secret_header_name": "S",
                    },
                    "client_id": {**PLACE, "enabled": False, "query_name": "q"},
                    "jwt": {
                        **PLACE,
                        "secret_signed": False,
                        "keypair_signed": False,
                        "include_request_attrs": True,
                        "max_jwt_lifespan_sec": 5,
                    },
                    "oto_bearer": {**PLACE, "enabled": False},
                },
                "routing": {"enabled": True, "none_tag_in": ["n"], "all_meta_in": {"a": "b"}},
                "validate": True,
                "mandatory": True,
                "pass_with_user": False,
            },
            {},
        ),
        ({}, "NgLegacyApikeyCall", {"routing": {"enabled": False}}, {}),
    ],
    "gzip": [
        (
            {
                "gzip": {
                    "enabled": True,
                    "excludedPatterns": ["/x"],
                    "whiteList": ["text/*"],
                    "blackList": ["image/*"],
                    "bufferSize": 1,
                    "chunkedThreshold": 2,
                    "compressionLevel": 3,
                }
            },
            "GzipResponseCompressor",
            {
                "excluded_patterns": ["/x"],
                "allowed_list": ["text/*"],
                "blocked_list": ["image/*"],
                "buffer_size": 1,
                "chunked_threshold": 2,
                "compression_level": 3,
            },
            {"exclude": ["/x"]},
        )
    ],
    "canary": [
        (
            {
                "canary": {
                    "enabled": True,
                    "traffic": 0.5,
                    "targets": [{"host": "c:1"}],
                    "root": "/c",
                }
            },
            "CanaryMode",
            {"traffic": 0.5, "root": "/c"},
            {},
        )
    ],
    "chaosConfig": [
        (
            {"chaosConfig": {"enabled": True, "latencyInjectionFaultConfig": {"ratio": 1}}},
            "SnowMonkeyChaos",
            {"latency_injection_fault": {"ratio": 1}, "large_request_fault": None},
            {},
        )
    ],
    "tcpUdpTunneling": [
        (
            {"tcpUdpTunneling": True, "targets": [{"host": "h", "scheme": "tcp"}]},
            "TcpTunnel",
            {},
            {},
        ),
        (
            {"tcpUdpTunneling": True, "targets": [{"host": "h", "scheme": "udp://"}]},
            "UdpTunnel",
            {},
            {},
        ),
    ],
    "plugins": [
        (
            {
                "plugins": {
                    "enabled": True,
                    "refs": [f"{NG}StaticResponse"],
                    "config": {"StaticResponse": {"status": 204}},
                    "excluded": ["/x"],
                }
            },
            "StaticResponse",
            {"status": 204},
            {"exclude": ["/x"]},
        )
    ],
}
