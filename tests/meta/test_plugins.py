"""Rules about the built-in plugins: one file each, in its place, with Otoroshi's id and a test."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oto_trio.plugin_api.inspection import describe
from oto_trio.plugin_api.registry import PluginClass, plugins_in

PLUGINS = Path("python/oto_trio/plugins")
TESTS = Path("tests/unit/plugins")

COOKIE = {
    "name": "cookie",
    "value": "value",
    "domain": None,
    "path": None,
    "maxAge": None,
    "secure": False,
    "httpOnly": False,
    "sameSite": None,
}
_PLACES = {
    "enabled": True,
    "header_name": None,
    "query_name": None,
    "cookie_name": None,
    "path_name": None,
}
_APIKEY_CALLS = {
    "extractors": {
        "basic": _PLACES,
        "custom_headers": {
            "enabled": True,
            "client_id_header_name": None,
            "client_secret_header_name": None,
        },
        "client_id": _PLACES,
        "jwt": {
            **_PLACES,
            "secret_signed": True,
            "keypair_signed": True,
            "include_request_attrs": False,
            "max_jwt_lifespan_sec": None,
        },
        "oto_bearer": _PLACES,
    },
    "routing": {"enabled": False},
    "validate": True,
    "mandatory": True,
    "pass_with_user": False,
    "wipe_backend_request": True,
    "update_quotas": True,
}

_HS512 = {"type": "HSAlgoSettings", "size": 512, "secret": "secret", "base64": False}

# The ids of Otoroshi that we implement, with its default config and its categories.
_QUOTA = {"window": 10000000, "daily": 10000000, "monthly": 10000000}
_CALLER = {"per_route": True, "global": False, "group": None, "expression": "${req.ip}"}

IMPLEMENTED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "NgJwtUserExtractor": (
        {
            "verifier": "none",
            "strict": True,
            "strip": False,
            "name_path": None,
            "email_path": None,
            "meta_path": None,
        },
        ("Authentication",),
    ),
    "OIDCHeaders": (
        {
            "profile": {"send": False, "headerName": "X-OIDC-User"},
            "idToken": {
                "send": False,
                "name": "id_token",
                "headerName": "X-OIDC-Id-Token",
                "jwt": True,
            },
            "accessToken": {
                "send": False,
                "name": "access_token",
                "headerName": "X-OIDC-Access-Token",
                "jwt": True,
            },
        },
        ("Headers",),
    ),
    "OAuthProtectedResourceMetadata": (
        {
            "ref": None,
            "resource": None,
            "authorization_servers_override": [],
            "jwks_uri": None,
            "scopes_supported": [],
            "bearer_methods_supported": ["header"],
            "resource_signing_alg_values_supported": [],
            "resource_name": None,
            "resource_documentation": None,
            "resource_policy_uri": None,
            "resource_tos_uri": None,
            "tls_client_certificate_bound_access_tokens": False,
            "dpop_signing_alg_values_supported": [],
            "dpop_bound_access_tokens_required": False,
            "authorization_details_types_supported": [],
            "extra_metadata": {},
            "signed_metadata": False,
            "signing_cert_ref": None,
            "signing_alg": "RS256",
            "signed_metadata_kid": None,
        },
        ("Authentication",),
    ),
    "JweExtractor": (
        {
            "key_management_algorithm": "RSA_OAEP_256",
            "content_encryption_algorithm": "A128CBC_HS256",
            "certId": None,
            "source": {"type": "InHeader", "name": "X-JWT-Token", "remove": ""},
            "forward_location": {"type": "InHeader", "name": "X-JWT-Token", "remove": ""},
            "strict": False,
            "payload": {},
        },
        ("Transformations",),
    ),
    "JweSigner": (
        {
            "key_management_algorithm": "RSA_OAEP_256",
            "content_encryption_algorithm": "A128CBC_HS256",
            "certId": None,
            "source": {"type": "InHeader", "name": "X-JWT-Token", "remove": ""},
            "forward_location": {"type": "InHeader", "name": "X-JWT-Token", "remove": ""},
            "strict": False,
            "payload": {},
        },
        ("Transformations",),
    ),
    "JwtSigner": (
        {"verifier": None, "replace_if_present": True, "fail_if_present": False},
        ("Transformations",),
    ),
    "JwtVerification": (
        {
            "custom_response": False,
            "custom_response_status": 401,
            "custom_response_headers": {},
            "custom_response_body": '{"error":"unauthorized"}',
            "verifiers": [],
        },
        ("AccessControl", "Classic"),
    ),
    "JwtVerificationOnly": (
        {
            "custom_response": False,
            "custom_response_status": 401,
            "custom_response_headers": {},
            "custom_response_body": '{"error":"unauthorized"}',
            "verifier": None,
            "fail_if_absent": True,
        },
        ("AccessControl", "Classic"),
    ),
    "OtoroshiJWKSEndpoint": (
        {"cert_ids": [], "include_algorithms": False, "rsa_algorithms": [], "es_algorithms": []},
        ("Otoroshi internals",),
    ),
    "DistributedRedisThrottling": (
        {"id": "DistributedRedisThrottlingStrategyConfig", "quota": _QUOTA, "bucketKey": None},
        ("AccessControl",),
    ),
    "LuaDistributedRedisThrottling": (
        {"id": "LuaDistributedRedisThrottlingStrategyConfig", "quota": _QUOTA, "bucketKey": None},
        ("AccessControl",),
    ),
    "FixedWindow": (
        {
            "id": "FixedWindowStrategyConfig",
            "quota": _QUOTA,
            "windowDurationMs": 10000,
            "bucketKey": None,
        },
        ("AccessControl",),
    ),
    # Otoroshi makes a random key each time it is asked; see the plugin.
    "LocalTokenBucket": (
        {
            "id": "LocalTokensBucketStrategyConfig",
            "bucketKey": None,
            "capacity": 300,
            "refillRequestIntervalMs": 50,
            "refillRequestedTokens": 50,
            "quota": _QUOTA,
        },
        ("AccessControl",),
    ),
    "GlobalPerIpAddressThrottling": (None, ("AccessControl", "Classic")),
    "GlobalThrottling": (None, ("AccessControl",)),
    "NgServiceQuotas": (
        {"throttling_quota": 10000000, "daily_quota": 10000000, "monthly_quota": 10000000},
        ("Other",),
    ),
    "NgCustomQuotas": (
        {**_CALLER, "daily_quota": 10000000, "monthly_quota": 10000000},
        ("Other",),
    ),
    "NgCustomThrottling": ({**_CALLER, "throttling_quota": 100}, ("Other",)),
    "Fail2BanPlugin": (
        {
            "identifier": "${route.id}-${req.ip}",
            "detect_time": 600000,
            "ban_time": 10800000,
            "max_retry": 4,
            "url_regex": [],
            "status_codes": ["400", "401", "403-499", "500-599"],
            "ignored": [],
            "blocked": [],
        },
        ("Security",),
    ),
    "AdditionalCookieIn": ({"name": "cookie", "value": "value"}, ("Cookies",)),
    "AdditionalCookieOut": (COOKIE, ("Cookies",)),
    "BasicAuthCaller": (
        {
            "username": None,
            "password": None,
            "headerName": "Authorization",
            "headerValueFormat": "Basic %s",
        },
        ("Authentication",),
    ),
    "HMACCaller": (
        {"secret": None, "algo": "HMAC-SHA512", "authorizationHeader": None},
        ("Authentication",),
    ),
    "OAuth1Caller": (
        {
            "consumerKey": None,
            "consumerSecret": None,
            "token": None,
            "tokenSecret": None,
            "algo": None,
        },
        ("Authentication",),
    ),
    "NgHasClientCertMatchingHttpValidator": (
        {
            "url": "https://validate.foo.bar",
            "method": "GET",
            "timeout": 2000,
            "headers": {},
            "tls": {
                "certs": [],
                "trusted_certs": [],
                "enabled": False,
                "loose": False,
                "trust_all": False,
            },
        },
        ("AccessControl",),
    ),
    "OtoroshiHeadersIn": (None, ("Headers", "Classic")),
    "SendOtoroshiHeadersBack": (None, ("Headers", "Classic")),
    "HMACValidator": ({"secret": None, "authorizationHeader": None}, ("AccessControl",)),
    "HttpSignatureVerifyRequest": (
        {
            "keys": [],
            "required_components": ["@method", "@target-uri"],
            "allowed_algorithms": [
                "hmac-sha256",
                "rsa-pss-sha512",
                "rsa-v1_5-sha256",
                "ecdsa-p256-sha256",
                "ecdsa-p384-sha384",
                "ed25519",
            ],
            "require_keyid": True,
            "max_age_seconds": 300,
            "clock_skew_seconds": 30,
            "signature_label": None,
            "mandatory": False,
        },
        ("AccessControl",),
    ),
    "NgClientCertChainHeader": (
        {
            "send_pem": False,
            "pem_header_name": "X-Client-Cert-Pem",
            "send_dns": False,
            "dns_header_name": "X-Client-Cert-DNs",
            "send_chain": False,
            "chain_header_name": "X-Client-Cert-Chain",
        },
        ("Headers",),
    ),
    "NgHasClientCertMatchingApikeyValidator": (None, ("AccessControl",)),
    "NgHasClientCertMatchingValidator": (
        {
            "mandatory": True,
            "serial_numbers": [],
            "subject_dns": [],
            "issuer_dns": [],
            "regex_subject_dns": [],
            "regex_issuer_dns": [],
        },
        ("AccessControl",),
    ),
    "NgCertificateAsApikey": (
        {
            "read_only": False,
            "allow_client_id_only": False,
            "throttling_quota": 100,
            "daily_quota": 10000000,
            "monthly_quota": 10000000,
            "constrained_services_only": False,
            "tags": [],
            "metadata": {},
        },
        ("AccessControl",),
    ),
    "NgClientCredentialTokenEndpoint": (
        {
            "expiration": 3600000,
            "default_key_pair": "otoroshi-jwt-signing",
            "allowed_apikeys": [],
            "allowed_groups": [],
        },
        ("Authentication",),
    ),
    "NgHasClientCertValidator": (None, ("AccessControl",)),
    "NgRfc9440ClientCertHeader": ({"send_chain": True}, ("Headers",)),
    "OAuth2Caller": (
        {
            "kind": "client_credentials",
            "url": "https://127.0.0.1:8080/oauth/token",
            "method": "POST",
            "headerName": "Authorization",
            "headerValueFormat": "Bearer %s",
            "jsonPayload": False,
            "clientId": "the client_id",
            "clientSecret": "the client_secret",
            "scope": None,
            "audience": None,
            "user": None,
            "password": None,
            "cacheTokenSeconds": 600_000,
            "tlsConfig": {
                "certs": [],
                "trustedCerts": [],
                "mtls": False,
                "loose": False,
                "trustAll": False,
            },
        },
        ("Authentication",),
    ),
    "OtoroshiChallenge": (
        {
            "version": "V2",
            "ttl": 30,
            "request_header_name": None,
            "response_header_name": None,
            "algo_to_backend": _HS512,
            "algo_from_backend": _HS512,
            "state_resp_leeway": 10,
        },
        ("Security", "Classic"),
    ),
    "OtoroshiInfos": (
        {
            "version": "Latest",
            "ttl": 30,
            "header_name": None,
            "add_fields": None,
            "projection": {},
            "algo": _HS512,
        },
        ("Security", "Classic"),
    ),
    "Cors": (
        {
            "allow_origin": "*",
            "expose_headers": [],
            "allow_headers": [],
            "allow_methods": [],
            "excluded_patterns": [],
            "max_age": None,
            "allow_credentials": True,
        },
        ("AccessControl", "Classic"),
    ),
    "ForwardedHeader": (None, ("Headers", "Classic")),
    "MissingCookieIn": (COOKIE, ("Cookies",)),
    "MissingCookieOut": (COOKIE, ("Cookies",)),
    "NgSecurityTxt": (
        {"contact": ["contact@foo.bar"], "auto_expires": False, "expires_years": 1},
        ("Security",),
    ),
    "OverrideLocationHeader": ({"matching_hostnames": []}, ("Headers",)),
    "QueryTransformer": ({"remove": [], "rename": {}, "add": {}}, ("Transformations",)),
    "RemoveCookiesIn": ({"names": []}, ("Cookies",)),
    "RemoveCookiesOut": ({"names": []}, ("Cookies",)),
    "Robots": (
        {
            "robot_txt_enabled": True,
            "robot_txt_content": "User-agent: *\nDisallow: /\n",
            "meta_enabled": True,
            "meta_content": "noindex,nofollow,noarchive",
            "header_enabled": True,
            "header_content": "noindex, nofollow, noarchive",
        },
        ("Other",),
    ),
    "SecurityHeadersPlugin": (
        {
            "frame_options": "DISABLED",
            "xss_protection": "DISABLED",
            "content_type_options": False,
            "hsts": {
                "enabled": False,
                "include_subdomains": False,
                "max_age": 3600,
                "preload": False,
                "on_http": False,
            },
            "csp": {"mode": "DISABLED", "csp": ""},
            "referrer_policy": "DISABLED",
            "permissions_policy": {"enabled": False, "policy": ""},
        },
        ("Security",),
    ),
    "ApikeyCalls": (_APIKEY_CALLS, ("AccessControl",)),
    "NgLegacyApikeyCall": (
        {**_APIKEY_CALLS, "public_patterns": [], "private_patterns": []},
        ("AccessControl", "Classic"),
    ),
    "ApikeyAuthModule": (
        {"realm": "apikey-auth-module-realm", "matcher": None},
        ("AccessControl",),
    ),
    "ApikeyQuotas": (None, ("AccessControl",)),
    "NgApikeyMandatoryTags": ({"tags": []}, ("AccessControl",)),
    "NgApikeyMandatoryMetadata": ({"metadata": {}}, ("AccessControl",)),
    "NgExpectedConsumer": (None, ("Authentication",)),
    "ConsumerEndpoint": (None, ("Authentication",)),
    "AdditionalHeadersIn": ({"headers": {}}, ("Headers", "Classic")),
    "AdditionalHeadersOut": ({"headers": {}}, ("Headers", "Classic")),
    "AllowHttpMethods": ({"allowed": [], "forbidden": []}, ("AccessControl", "Classic")),
    "BuildMode": (None, ("AccessControl", "Classic")),
    "EchoBackend": ({"limit": 524288}, ("Other",)),
    "ForceHttpsTraffic": (None, ("TrafficControl", "Classic")),
    "HeadersValidation": ({"headers": {}}, ("Headers", "Classic")),
    "MaintenanceMode": (None, ("AccessControl", "Classic")),
    "MissingHeadersIn": ({"headers": {}}, ("Headers", "Classic")),
    "MissingHeadersOut": ({"headers": {}}, ("Headers", "Classic")),
    "MockResponses": ({"responses": [], "pass_through": True}, ("TrafficControl",)),
    "OverrideHost": (None, ("Headers", "Classic")),
    "ReadOnlyCalls": (None, ("AccessControl", "Classic")),
    "Redirection": ({"code": 303, "to": "https://www.otoroshi.io"}, ("TrafficControl", "Classic")),
    "RemoveHeadersIn": ({"header_names": []}, ("Headers", "Classic")),
    "RemoveHeadersOut": ({"header_names": []}, ("Headers", "Classic")),
    "RequestBodyEchoBackend": ({"limit": 524288}, ("Other",)),
    "StaticResponse": (
        {"status": 200, "headers": {}, "body": "", "apply_el": False},
        ("TrafficControl",),
    ),
    "XForwardedHeaders": (None, ("Headers", "Classic")),
    "CookiesValidation": ({"cookies": {}}, ("Cookies",)),
    "DisableHttp10": (None, ("TrafficControl", "Classic")),
    "GlobalMaintenanceMode": (None, ("AccessControl", "Classic")),
    "IpAddressAllowedList": ({"addresses": []}, ("AccessControl", "Classic")),
    "IpAddressBlockList": ({"addresses": []}, ("AccessControl", "Classic")),
    "LimitHeaderInTooLong": ({"value": 8192}, ("Headers",)),
    "LimitHeaderOutTooLong": ({"value": 8192}, ("Headers",)),
    "NgLog4ShellFilter": ({"status": 200, "body": "", "parse_body": False}, ("Security",)),
    "React2SShellDetector": ({"block": False}, ("Transformations",)),
    "RejectHeaderInTooLong": ({"value": 8192}, ("Headers",)),
    "RejectHeaderOutTooLong": ({"value": 8192}, ("Headers",)),
    "RoutingRestrictions": (
        {"allow_last": True, "allowed": [], "forbidden": [], "not_found": []},
        ("AccessControl", "Classic"),
    ),
    "SimpleBasicAuth": ({"realm": "authentication", "users": {}}, ("Authentication",)),
    "TimeRestrictedAccessPlugin": ({"rules": [], "timezone": None}, ("AccessControl", "Classic")),
    "ContextValidation": ({"validators": []}, ("AccessControl",)),
    "NgGenericAllowedList": ({"expression": "${req.ip_address}", "values": []}, ("AccessControl",)),
    "NgGenericBlockList": ({"expression": "${req.ip_address}", "values": []}, ("AccessControl",)),
    "NgHasAllowedUsersValidator": (
        {
            "usernames": [],
            "emails": [],
            "email_domains": [],
            "metadata_match": [],
            "metadata_not_match": [],
            "otoroshi_data_match": [],
            "otoroshi_data_not_match": [],
            "profile_match": [],
            "profile_not_match": [],
        },
        ("AccessControl",),
    ),
    "NgIncomingRequestValidatorAllowedDomainNames": ({}, ("AccessControl",)),
    "NgIncomingRequestValidatorDeniedDomainNames": ({}, ("AccessControl",)),
    "NgAuthModuleExpectedUser": ({"only_from": []}, ("Authentication",)),
    "PublicPrivatePaths": (
        {"strict": False, "private_patterns": [], "public_patterns": []},
        ("AccessControl",),
    ),
    "RequestBandwidthThrottling": (
        {
            "window_millis": "60000",
            "throttling_quota": "10485760",
            "group_expr": "${route.id}",
            "fail": True,
            "kind": "per_request",
        },
        ("Transformations",),
    ),
    "W3CTracing": (
        {
            "kind": "noop",
            "endpoint": "http://localhost:3333/spans",
            "timeout": 30000,
            "baggage": {},
        },
        ("Monitoring",),
    ),
    "RequestBodyLengthLimiter": ({"max_length": None, "fail": False}, ("Transformations",)),
    "ResponseBandwidthThrottling": (
        {
            "window_millis": "60000",
            "throttling_quota": "10485760",
            "group_expr": "${route.id}",
            "fail": True,
            "kind": "per_request",
        },
        ("Transformations",),
    ),
    "ResponseBodyLengthLimiter": ({"max_length": None, "fail": False}, ("Transformations",)),
}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def plugin_files(tracked: list[Path]) -> list[Path]:
    return [
        path
        for path in tracked
        if path.is_relative_to(PLUGINS) and path.suffix == ".py" and path.name != "__init__.py"
    ]


def plugins_of(path: Path) -> tuple[PluginClass, ...]:
    name = ".".join(path.relative_to("python").with_suffix("").parts)
    return plugins_in(importlib.import_module(name))


def test_every_file_holds_one_plugin_named_after_it(tracked: list[Path]) -> None:
    files = plugin_files(tracked)
    assert files
    for path in files:
        (plugin,) = plugins_of(path)
        assert path.stem == snake(plugin.__name__), path
        assert path.parent.name == snake(plugin.categories[0]).replace(" ", "_"), path


def test_ids_defaults_and_categories_are_otoroshis(tracked: list[Path]) -> None:
    found = {
        plugin.id: (describe(plugin)["default_config"], plugin.categories)
        for path in plugin_files(tracked)
        for plugin in plugins_of(path)
    }
    assert found == {
        f"cp:otoroshi.next.plugins.{name}": facts for name, facts in IMPLEMENTED.items()
    }


def test_every_plugin_has_a_test_beside_it(tracked: list[Path]) -> None:
    tests = {path for path in tracked if path.is_relative_to(TESTS)}
    wanted = {TESTS / path.parent.name / f"test_{path.name}" for path in plugin_files(tracked)}
    assert wanted <= tests, sorted(map(str, wanted - tests))


def test_every_docstring_says_phases_and_id(tracked: list[Path], texts: dict[Path, str]) -> None:
    for path in plugin_files(tracked):
        (plugin,) = plugins_of(path)
        docstring = ast.get_docstring(ast.parse(texts[path])) or ""
        described = describe(plugin)
        native = r" Native[.;][^\n]*" if described["native"] else ""
        phases = re.escape(f"Phases: {', '.join(described['phases'])}.")
        assert re.search(f"{phases}{native}\n", docstring), path
        assert f"Otoroshi: ``{plugin.id}``." in docstring, path


def test_every_config_field_is_described(tracked: list[Path]) -> None:
    for path in plugin_files(tracked):
        (plugin,) = plugins_of(path)
        if plugin.Config is None:
            continue
        schema = msgspec.json.schema(plugin.Config)
        for struct in schema["$defs"].values():
            for name, field in struct["properties"].items():
                assert field.get("description"), f"{path}: {struct['title']}.{name}"


def test_a_plugin_knows_the_plugin_api_and_nothing_else(texts: dict[Path, str]) -> None:
    known = ("oto_trio.plugin_api", "oto_trio.plugins")
    for path, text in texts.items():
        if path.is_relative_to(PLUGINS):
            imported = [
                node.module or ""
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.ImportFrom)
            ]
            ours = [name for name in imported if name.startswith("oto_trio")]
            assert all(name.startswith(known) for name in ours), path


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("OverrideHost", "override_host"),
        ("XForwardedHeaders", "x_forwarded_headers"),
        ("OIDCHeaders", "oidc_headers"),
    ],
)
def test_names_are_turned_into_snake_case(name: str, wanted: str) -> None:
    assert snake(name) == wanted
