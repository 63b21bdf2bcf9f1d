"""What auth modules of several kinds are made of. The modules are in `oto_trio.model.auth_module`."""

from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from oto_trio.model.backend import TargetTls
from oto_trio.model.client_settings import Whole
from oto_trio.model.document import EVERY_KEY, Document, JsonObject

__all__ = [
    "AuthUser",
    "GroupFilter",
    "Pkce",
    "RemoteValidator",
    "SamlCredential",
    "SamlCredentials",
    "SamlSignature",
    "SessionCookie",
]

Texts = Annotated[tuple[str, ...], Meta(description="a list of texts")]
Rights = Annotated[
    tuple[dict[str, Any], ...], Meta(description="tenants and teams, such as default:rw")
]
FreeObject = Annotated[dict[str, Any], Meta(description="a free object, kept verbatim")]


class SessionCookie(Document, frozen=True, kw_only=True, rename="camel"):
    """Attributes of the cookie that holds a session."""

    strict_keys = EVERY_KEY

    http_only: Annotated[bool, Meta(description="keep it from scripts")] = True
    secure: Annotated[bool, Meta(description="send it over TLS only")] = True


class RemoteValidator(Document, frozen=True, kw_only=True):
    """A service that is asked whether a user may come in."""

    strict_keys = EVERY_KEY

    url: Annotated[str, Meta(description="where it is asked")]
    headers: Annotated[dict[str, str], Meta(description="headers of the call")] = msgspec.field(
        default_factory=dict[str, str]
    )
    timeout: Annotated[Whole, Meta(description="longest wait for its answer, ms")] = 10_000
    tls_settings: Annotated[TargetTls, Meta(description="TLS towards it")] = TargetTls()


class AuthUser(Document, frozen=True, kw_only=True, rename="camel"):
    """A user that is kept in the module itself."""

    strict_keys = EVERY_KEY

    name: Annotated[str, Meta(description="name of the user")]
    password: Annotated[str, Meta(description="bcrypt hash of the password")]
    email: Annotated[str, Meta(description="address, by which the user logs in")]
    metadata: Annotated[FreeObject, Meta(description="what is known about the user")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    tags: Annotated[Texts, Meta(description="free labels")] = ()
    webauthn: Annotated[dict[str, Any] | None, Meta(description="passkeys of the user")] = None
    rights: Annotated[Rights, Meta(description="what the user may do")] = ()
    admin_entity_validators: Annotated[
        FreeObject, Meta(description="what the user may write, by kind of entity")
    ] = msgspec.field(default_factory=dict[str, Any])


class GroupFilter(Document, frozen=True, kw_only=True):
    """Who is in a team: members of a group of the directory."""

    strict_keys = EVERY_KEY

    group: Annotated[str, Meta(description="filter that finds the group")]
    team: Annotated[str, Meta(description="team its members are in")] = ""
    tenant: Annotated[str, Meta(description="tenant of the team, with rights")] = ""

    @classmethod
    def of_text(cls, text: str, location: object) -> list[JsonObject]:
        """Make the filters that an older single filter means: one for each team of the module."""
        found = cast("JsonObject", location) if isinstance(location, dict) else {}
        tenant, teams = found.get("tenant"), found.get("teams")
        names = cast("list[object]", teams) if isinstance(teams, list) else ["default"]
        return [
            {
                "group": text,
                "team": team if isinstance(team, str) else "default",
                "tenant": tenant if isinstance(tenant, str) else "default",
            }
            for team in names
        ]


class Pkce(Document, frozen=True, kw_only=True):
    """Proof that the one who redeems a code is the one who asked for it (RFC 7636)."""

    strict_keys = EVERY_KEY

    enabled: Annotated[bool, Meta(description="use it")] = False
    algorithm: Annotated[str, Meta(description="S256 or plain")] = "S256"


class SamlCredential(Document, frozen=True, kw_only=True, rename="camel"):
    """A certificate and its private key, given or kept by the gateway."""

    strict_keys = EVERY_KEY

    certificate: Annotated[str | None, Meta(description="certificate, PEM")] = None
    private_key: Annotated[str | None, Meta(description="private key, PEM")] = None
    cert_id: Annotated[str | None, Meta(description="id of a certificate kept here")] = None
    use_otoroshi_certificate: Annotated[
        bool, Meta(description="take the certificate that is kept here")
    ] = False


class SamlCredentials(Document, frozen=True, kw_only=True, rename="camel"):
    """With what messages are signed and decrypted."""

    strict_keys = EVERY_KEY

    signing_key: Annotated[SamlCredential, Meta(description="signs messages")] = SamlCredential()
    encryption_key: Annotated[SamlCredential, Meta(description="decrypts assertions")] = (
        SamlCredential()
    )
    signed_documents: Annotated[bool, Meta(description="sign what is sent")] = False
    encrypted_assertions: Annotated[bool, Meta(description="assertions are encrypted")] = False


class SamlSignature(Document, frozen=True, kw_only=True, rename="camel"):
    """How messages are signed. The name of the second key is Otoroshi's."""

    strict_keys = EVERY_KEY

    algorithm: Annotated[
        Literal["rsa_sha512", "rsa_sha256", "rsa_sha1", "dsa_sha1"],
        Meta(description="algorithm of the signature"),
    ] = "rsa_sha256"
    canocalization_method: Annotated[
        Literal["exclusive", "with_comments"], Meta(description="how XML is brought to one form")
    ] = "exclusive"
