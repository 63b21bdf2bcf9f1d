"""Say which authorization servers a protected resource trusts (RFC 9728).

Phases: call_backend. Native.
Otoroshi: ``cp:otoroshi.next.plugins.OAuthProtectedResourceMetadata``.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Answer, Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.undecided import settle

__all__ = ["OAuthProtectedResourceMetadata", "OAuthProtectedResourceMetadataConfig"]

Texts = tuple[str, ...]
Text = str | None

_MEMBERS: Final = (
    "jwks_uri",
    "scopes_supported",
    "bearer_methods_supported",
    "resource_signing_alg_values_supported",
    "resource_name",
    "resource_documentation",
    "resource_policy_uri",
    "resource_tos_uri",
    "tls_client_certificate_bound_access_tokens",
    "dpop_signing_alg_values_supported",
    "dpop_bound_access_tokens_required",
    "authorization_details_types_supported",
)


class OAuthProtectedResourceMetadataConfig(Config, frozen=True):
    """The members of the document, in the names of RFC 9728, and how it is signed."""

    ref: Annotated[Text, Meta(description="Id of an OIDC auth. module; kept, not yet used.")] = None
    resource: Annotated[
        Text, Meta(description="The resource's address; that of the request by default.")
    ] = None
    authorization_servers_override: Annotated[
        Texts, Meta(description="Issuers whose tokens are taken: authorization_servers.")
    ] = ()
    jwks_uri: Annotated[Text, Meta(description="Where the resource's keys are.")] = None
    scopes_supported: Annotated[Texts, Meta(description="Scopes that a token may have.")] = ()
    bearer_methods_supported: Annotated[
        Texts, Meta(description="How tokens are sent: header, body, query.")
    ] = ("header",)
    resource_signing_alg_values_supported: Annotated[
        Texts, Meta(description="Algorithms of the resource's signatures.")
    ] = ()
    resource_name: Annotated[Text, Meta(description="A name for people.")] = None
    resource_documentation: Annotated[Text, Meta(description="Address of the manual.")] = None
    resource_policy_uri: Annotated[Text, Meta(description="Address of the policy.")] = None
    resource_tos_uri: Annotated[Text, Meta(description="Address of the terms of service.")] = None
    tls_client_certificate_bound_access_tokens: Annotated[
        bool, Meta(description="Whether tokens can be bound to client certificates (RFC 8705).")
    ] = False
    dpop_signing_alg_values_supported: Annotated[
        Texts, Meta(description="Algorithms of DPoP proofs (RFC 9449).")
    ] = ()
    dpop_bound_access_tokens_required: Annotated[
        bool, Meta(description="Whether tokens must be bound to a DPoP key.")
    ] = False
    authorization_details_types_supported: Annotated[
        Texts, Meta(description="Types of authorization details (RFC 9396).")
    ] = ()
    extra_metadata: Annotated[
        dict[str, Any], Meta(description="More members, laid over the others.")
    ] = msgspec.field(default_factory=dict[str, Any])
    signed_metadata: Annotated[
        bool, Meta(description="Add the document as a signed token: signed_metadata.")
    ] = False
    signing_cert_ref: Annotated[Text, Meta(description="Id of the certificate that signs it.")] = (
        None
    )
    signing_alg: Annotated[
        Literal[
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
        ],
        Meta(description="The algorithm, one for the certificate's key."),
    ] = "RS256"
    signed_metadata_kid: Annotated[
        Text, Meta(description="The token's kid; the certificate's id by default.")
    ] = None


class _Signing(msgspec.Struct, frozen=True):
    certificate: str
    algorithm: str
    kid: str | None


class _Settings(msgspec.Struct, frozen=True):
    """What the native step reads."""

    members: dict[str, Any]
    resource: str | None
    extra: dict[str, Any]
    signing: _Signing | None


class OAuthProtectedResourceMetadata(Plugin[OAuthProtectedResourceMetadataConfig]):
    """Answers every request with the document; members that are empty are left out, booleans are not.

    Serve it at ``/.well-known/oauth-protected-resource``. ``signed_metadata`` is left out when the
    certificate is unknown, revoked or has no key for the algorithm.

    Not as Otoroshi: the issuer of the module ``ref`` is not looked up; list the issuers in
    ``authorization_servers_override``.
    """

    id = "cp:otoroshi.next.plugins.OAuthProtectedResourceMetadata"
    name = "OAuth 2.0 Protected Resource Metadata (RFC 9728)"
    description = "Backend serving the RFC 9728 metadata document."
    categories = ("Authentication",)

    @override
    def call_backend(self, exchange: Exchange) -> Answer:
        return settle(exchange)

    @override
    def lower(self) -> tuple[Step, ...]:
        config = self.config
        members = {name: getattr(config, name) for name in _MEMBERS}
        members["authorization_servers"] = config.authorization_servers_override
        signing = None
        if config.signed_metadata and config.signing_cert_ref:
            kid = config.signed_metadata_kid or None
            signing = _Signing(config.signing_cert_ref, config.signing_alg, kid)
        settings = _Settings(
            {name: value for name, value in members.items() if value not in (None, "", ())},
            config.resource or None,
            config.extra_metadata,
            signing,
        )
        return (steps.Native("resource_metadata", Phase.CALL_BACKEND, settings),)
