"""The config that the plugins for encrypted tokens share."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api.config import Config

__all__ = ["JweConfig"]

_OLD_KEYS = {
    "keyManagementAlgorithm": "key_management_algorithm",
    "contentEncryptionAlgorithm": "content_encryption_algorithm",
}


def _place() -> dict[str, Any]:
    """Return Otoroshi's default token location."""
    return {"type": "InHeader", "name": "X-JWT-Token", "remove": ""}


class JweConfig(Config, frozen=True):
    """Whose key, which algorithms, and where the token is."""

    unused: ClassVar[frozenset[str]] = frozenset({"metadata"})

    key_management_algorithm: Annotated[
        str, Meta(description="RSA_OAEP_256, RSA_OAEP_384 or RSA_OAEP_512.")
    ] = "RSA_OAEP_256"
    content_encryption_algorithm: Annotated[
        str,
        Meta(
            description="A128CBC_HS256, A192CBC_HS384, A256CBC_HS512, A128GCM, A192GCM or A256GCM."
        ),
    ] = "A128CBC_HS256"
    cert_id: Annotated[
        str | None, Meta(description="Id of the certificate whose RSA key is used.")
    ] = msgspec.field(default=None, name="certId")
    source: Annotated[
        dict[str, Any], Meta(description="Where the encrypted token is: InHeader, InCookie…")
    ] = msgspec.field(default_factory=_place)
    forward_location: Annotated[
        dict[str, Any], Meta(description="Where its contents go: InHeader or InCookie.")
    ] = msgspec.field(default_factory=_place)
    strict: Annotated[
        bool, Meta(description="Refuse a token that cannot be decrypted with 401.")
    ] = False
    payload: Annotated[
        dict[str, Any], Meta(description="Claims of a token that is made; expressions allowed.")
    ] = msgspec.field(default_factory=dict[str, Any])

    @classmethod
    @override
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Take the spelling with which Otoroshi writes its default."""
        for old, new in _OLD_KEYS.items():
            if old in raw:
                raw[new] = raw.pop(old)
        return raw
