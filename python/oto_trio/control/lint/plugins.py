"""What the rules know about plugins: who finds out the caller, who asks for one, who changes what.

The built-in plugins by the ends of their ids. A plugin of a user that acts before the backend is called
may do anything; rules take it for a check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.model.jwt_verifier import JwtVerifier
from oto_trio.plugin_api.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oto_trio.control.lint.ground import Ground, Placed

__all__ = [
    "ANSWERING",
    "ASKING_FOR_CALLER",
    "CHANGING",
    "COUNTING",
    "IDENTIFYING",
    "INSPECTING",
    "authenticates",
]

PREFIX: Final = "cp:otoroshi.next.plugins."

IDENTIFYING: Final = frozenset(
    {
        *("ApikeyCalls", "NgLegacyApikeyCall", "ApikeyAuthModule", "NgCertificateAsApikey"),
        *("NgJwtUserExtractor", "AuthModule", "MultiAuthModule", "NgLegacyAuthModuleCall"),
        *("NgBiscuitExtractor", "NgDefaultRequestBodyBiscuit", "NgOIDCAccessTokenAsApikey"),
    }
)
"""Plugins that find out which API key or user calls."""

CHECKING: Final = frozenset(
    {
        *("HMACValidator", "SimpleBasicAuth", "NgExpectedConsumer", "NgAuthModuleExpectedUser"),
        *("NgHasAllowedUsersValidator", "NgHasClientCertValidator", "NgBiscuitValidator"),
        *("NgHasClientCertMatchingValidator", "NgHasClientCertMatchingApikeyValidator"),
        *("NgHasClientCertMatchingHttpValidator", "PublicPrivatePaths", "RBAC"),
        *("NgApikeyMandatoryTags", "NgApikeyMandatoryMetadata", "OIDCAccessTokenValidator"),
        *("NgOIDCAccessTokenValidator", "NgExternalHttpValidator", "WasmAccessControl"),
    }
)
"""Plugins that refuse a stranger by themselves."""

ASKING_FOR_CALLER: Final = frozenset(
    {
        *("NgExpectedConsumer", "NgAuthModuleExpectedUser", "NgHasAllowedUsersValidator"),
        *("NgHasClientCertMatchingApikeyValidator", "PublicPrivatePaths", "RBAC"),
        *("NgApikeyMandatoryTags", "NgApikeyMandatoryMetadata"),
    }
)
"""Plugins that ask which caller was found before them."""

COUNTING: Final = frozenset(
    {
        *("ApikeyQuotas", "NgCustomThrottling", "NgCustomQuotas", "FixedWindow"),
        *("LocalTokenBucket", "DistributedRedisThrottling", "LuaDistributedRedisThrottling"),
    }
)
"""Plugins that count calls, by an expression or by the caller."""

CHANGING: Final = frozenset(
    {
        *("QueryTransformer", "AdditionalHeadersIn", "RemoveHeadersIn"),
        *("JweExtractor", "LimitHeaderInTooLong", "AdditionalCookieIn", "RemoveCookiesIn"),
        *(
            "BodyRewriter",
            "XmlToJsonRequest",
            "JsonToXmlRequest",
            "JQRequest",
            "WasmRequestTransformer",
        ),
    }
)
"""Plugins that change what the client sent."""

INSPECTING: Final = frozenset(
    {
        *("NgLog4ShellFilter", "React2SShellDetector", "RequestBodyLengthLimiter"),
        *("RejectHeaderInTooLong", "HttpSignatureVerifyRequest"),
    }
)
"""Plugins that refuse a request for what is in it, in the phase in which others change it."""

ANSWERING: Final = frozenset(
    {
        *("Redirection", "StaticResponse", "MockResponses", "BuildMode", "MaintenanceMode"),
        *("EchoBackend", "RequestBodyEchoBackend", "OtoroshiJWKSEndpoint", "EndlessHttpResponse"),
        *("NgClientCredentialTokenEndpoint", "OAuthProtectedResourceMetadata"),
    }
)
"""Plugins that answer in the backend's place; what they say is meant for everybody."""


def authenticates(ground: Ground, placed: Placed) -> bool:
    """Tell whether a slot refuses strangers.

    A check that the config turns off does not count: ``mandatory: false``, a list without verifiers, a
    verifier that lets requests without a token pass.
    """
    phases = placed.entry.code.phases
    if not placed.plugin.startswith(PREFIX):
        return Phase.ACCESS in phases or Phase.PRE_ROUTE in phases
    config, name = placed.entry.code.config, placed.name
    if name in {"ApikeyCalls", "HttpSignatureVerifyRequest"}:
        return bool(getattr(config, "mandatory", True))
    if name == "NgJwtUserExtractor":
        return bool(getattr(config, "strict", True))
    if name == "NgCertificateAsApikey":
        return False  # it lets everybody on; what comes behind it may ask
    if name == "JwtVerification":
        return _is_strict(ground, getattr(config, "verifiers", ()))
    if name == "JwtVerificationOnly":
        verifier = getattr(config, "verifier", None)
        if not getattr(config, "fail_if_absent", True):
            return False
        return _is_strict(ground, () if verifier is None else (verifier,))
    return name in CHECKING or name in IDENTIFYING


def _is_strict(ground: Ground, verifiers: Sequence[str]) -> bool:
    """Tell whether every verifier refuses a request without a token: the first that accepts decides.

    One that is not there refuses everybody.
    """
    known = {item.id: verifier for item, verifier in ground.of(JwtVerifier)}
    return bool(verifiers) and all(v not in known or _asks(known[v]) for v in verifiers)


def _asks(verifier: JwtVerifier) -> bool:
    """Tell whether a verifier refuses a request without a token, instead of making it one."""
    return verifier.strict and verifier.strategy.get("type") != "DefaultToken"
