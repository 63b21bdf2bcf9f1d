"""Give clients a token for the id and secret of their API key.

Phases: call_backend.
Otoroshi: ``cp:otoroshi.next.plugins.NgClientCredentialTokenEndpoint``.
"""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import ApiKey, BodyTooLarge, Config, Exchange, Plugin, Response
from oto_trio.plugin_api.api_keys import basic_pair

__all__ = ["NgClientCredentialTokenEndpoint", "NgClientCredentialTokenEndpointConfig"]

MAX_BODY_BYTES: Final = 64 * 1024
"""Longest request for a token."""

_MAX_FIELDS: Final = 64
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
            return _error(413, "invalid_request", f"send at most {MAX_BODY_BYTES} bytes")
        fields = _fields(exchange.request.headers.get("Content-Type") or "", body)
        if fields is None:
            return _error(401, "access_denied", "Unauthorized")
        scheme, _, encoded = (exchange.request.headers.get("Authorization") or "").partition(" ")
        pair = basic_pair(encoded) if scheme.lower() == "basic" else None
        client_id, secret = pair or (fields.get("client_id"), fields.get("client_secret"))
        grant = fields.get("grant_type")
        if grant is None or client_id is None or secret is None:
            return _error(401, "access_denied", "unauthorized")
        if grant != _GRANT:
            return _error(400, "unauthorized_client", f"grant type '{grant}' not supported !")
        key = exchange.find_api_key(client_id)
        if key is None or not key.has_secret(secret) or not self._may_have_one(exchange, key):
            return _error(401, "access_denied", "bad client credentials")
        scope = fields.get("scope")
        if scope is not None and not set(scope.split()) <= set(
            key.metadata.get("scope", "").split()
        ):
            refused = f"client has not been granted scopes: {scope}"
            return _error(403, "access_denied", refused)
        return self._token(exchange, key, scope, fields.get("aud", "otoroshi"))

    def _may_have_one(self, exchange: Exchange, key: ApiKey) -> bool:
        """Tell whether a client may have a token."""
        ids, groups = self.config.allowed_apikeys, self.config.allowed_groups
        is_listed = key.client_id in ids or any(map(key.is_in_group, groups))
        return key.is_enabled(exchange.unix_time) and (is_listed or not (ids or groups))

    def _token(self, exchange: Exchange, key: ApiKey, scope: str | None, audience: str) -> Response:
        """Return the answer with a token."""
        now, life_s = int(exchange.unix_time), self.config.expiration // 1000
        scheme = "https" if exchange.secured else "http"
        claims = {
            "jti": str(uuid.uuid4()),
            "exp": now + life_s,
            "iat": now,
            "nbf": now,
            "cid": key.client_id,
            "iss": f"{scheme}://{exchange.request.host}",
            "sub": key.client_id,
            "aud": audience,
        }
        signed = key.sign_token(
            exchange.native(), msgspec.json.encode(claims), self.config.default_key_pair
        )
        answer = {"access_token": signed, "token_type": "Bearer", "expires_in": life_s}
        return _json(200, answer if scope is None else {**answer, "scope": scope})


def _fields(content_type: str, body: bytes) -> Mapping[str, str] | None:
    """Return the fields of a request that are text; None when it is neither a form nor JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode(), max_num_fields=_MAX_FIELDS))
        if kind == "application/json":
            fields = msgspec.json.decode(body, type=dict[str, Any])
            return {name: value for name, value in fields.items() if isinstance(value, str)}
    except (ValueError, msgspec.DecodeError):
        return None
    return None


def _error(status: int, error: str, description: str) -> Response:
    return _json(status, {"error": error, "error_description": description})


def _json(status: int, document: Mapping[str, Any]) -> Response:
    """Return an answer that nobody may keep (RFC 6749 §5.1)."""
    fields = (
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("Pragma", "no-cache"),
    )
    return Response(status, fields, msgspec.json.encode(document))
