"""Give clients a token for the id and secret of their API key.

Phases: call_backend.
Otoroshi: ``cp:otoroshi.next.plugins.NgClientCredentialTokenEndpoint``.
"""

from typing import Annotated, Final

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import ApiKey, BodyTooLarge, Config, Exchange, Plugin, Response
from oto_trio.plugin_api.api_keys import basic_pair
from oto_trio.plugin_api.client_credentials import (
    MAX_BODY_BYTES,
    grant_fields,
    granted_token,
    oauth_answer,
    oauth_error,
)

__all__ = ["NgClientCredentialTokenEndpoint", "NgClientCredentialTokenEndpointConfig"]

_GRANT: Final = "client_credentials"


class NgClientCredentialTokenEndpointConfig(Config, frozen=True):
    """How long tokens live, what signs them and who may have one."""

    expiration: Annotated[int, Meta(ge=1000, description="Life of a token in milliseconds.")] = (
        3_600_000
    )
    default_key_pair: Annotated[
        str, Meta(description="Id of the certificate that signs for keys which name none.")
    ] = "otoroshi-jwt-signing"
    allowed_apikeys: Annotated[
        tuple[str, ...], Meta(description="Client ids that may have one; see allowed_groups.")
    ] = ()
    allowed_groups: Annotated[
        tuple[str, ...],
        Meta(description="Groups whose keys may; all keys may when both lists are empty."),
    ] = ()


class NgClientCredentialTokenEndpoint(Plugin[NgClientCredentialTokenEndpointConfig]):
    """Answers requests for a token by ``client_credentials`` (RFC 6749 §4.4), on any path and with any method.

    The fields ``grant_type``, ``client_id``, ``client_secret``, ``scope`` and ``aud`` come as a form or as JSON; basic
    authentication goes before id and secret. The token is signed with the key pair that the key's metadata
    ``jwt-sign-keypair`` name, else with ``default_key_pair``, else with the client's secret (HS512);
    ``ApikeyCalls`` takes it.

    Not as Otoroshi: keys that expire in the future get tokens and expired ones do not (Otoroshi has it the other
    way round), an EC key signs with the algorithm of its curve (not always ES384), and a body of more than 64 KiB
    is answered with 413.
    """

    id = "cp:otoroshi.next.plugins.NgClientCredentialTokenEndpoint"
    name = "Client credential token endpoint"
    description = "Gives clients a token for the id and secret of their API key."
    categories = ("Authentication",)

    @override
    async def call_backend(self, exchange: Exchange) -> Response:
        try:
            body = await exchange.request.read(MAX_BODY_BYTES)
        except BodyTooLarge:
            return oauth_error(413, "invalid_request", f"send at most {MAX_BODY_BYTES} bytes")
        fields = grant_fields(exchange.request.headers.get("Content-Type") or "", body)
        if fields is None:
            return oauth_error(401, "access_denied", "Unauthorized")
        scheme, _, encoded = (exchange.request.headers.get("Authorization") or "").partition(" ")
        pair = basic_pair(encoded) if scheme.lower() == "basic" else None
        client_id, secret = pair or (fields.get("client_id"), fields.get("client_secret"))
        grant = fields.get("grant_type")
        if grant is None or client_id is None or secret is None:
            return oauth_error(401, "access_denied", "unauthorized")
        if grant != _GRANT:
            return oauth_error(400, "unauthorized_client", f"grant type '{grant}' not supported !")
        key = exchange.find_api_key(client_id)
        if key is None or not key.has_secret(secret) or not self._may_have_one(exchange, key):
            return oauth_error(401, "access_denied", "bad client credentials")
        scope = fields.get("scope")
        if scope is not None and not set(scope.split()) <= set(
            key.metadata.get("scope", "").split()
        ):
            refused = f"client has not been granted scopes: {scope}"
            return oauth_error(403, "access_denied", refused)
        return self._token(exchange, key, scope, fields.get("aud", "otoroshi"))

    def _may_have_one(self, exchange: Exchange, key: ApiKey) -> bool:
        """Tell whether a client may have a token."""
        ids, groups = self.config.allowed_apikeys, self.config.allowed_groups
        is_listed = key.client_id in ids or any(map(key.is_in_group, groups))
        return key.is_enabled(exchange.unix_time) and (is_listed or not (ids or groups))

    def _token(self, exchange: Exchange, key: ApiKey, scope: str | None, audience: str) -> Response:
        """Return the answer with a token."""
        life_s = self.config.expiration // 1000
        signed = granted_token(
            exchange, key, life_s, self.config.default_key_pair, audience=audience
        )
        answer = {"access_token": signed, "token_type": "Bearer", "expires_in": life_s}
        return oauth_answer(200, answer if scope is None else {**answer, "scope": scope})
