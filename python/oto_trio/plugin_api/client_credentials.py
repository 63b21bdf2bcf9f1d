"""Tokens for the id and secret of an API key (RFC 6749 §4.4): what the plugins that give some share."""

import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from oto_trio._core import ApiKey
from oto_trio.plugin_api.answers import Response
from oto_trio.plugin_api.exchange import Exchange

__all__ = ["MAX_BODY_BYTES", "grant_fields", "granted_token", "oauth_answer", "oauth_error"]

MAX_BODY_BYTES: Final = 64 * 1024
"""Longest request for a token."""

_MAX_FIELDS: Final = 64


def granted_token(
    exchange: Exchange, key: ApiKey, life_s: int, default_pair: str, *, audience: str = "otoroshi"
) -> str:
    """Sign a token for a client, which ``ApikeyCalls`` takes.

    Args:
        exchange: What asked for it.
        key: The client's.
        life_s: How long it is good, in seconds.
        default_pair: Id of the certificate that signs unless the key's metadata name one.
        audience: Whom it is for.
    """
    now = int(exchange.unix_time)
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
    return key.sign_token(exchange.native(), msgspec.json.encode(claims), default_pair)


def grant_fields(content_type: str, body: bytes) -> Mapping[str, str] | None:
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


def oauth_error(status: int, error: str, description: str) -> Response:
    """Return the answer to a client that gets no token (RFC 6749 §5.2)."""
    return oauth_answer(status, {"error": error, "error_description": description})


def oauth_answer(status: int, document: Mapping[str, Any]) -> Response:
    """Return an answer that nobody may keep (RFC 6749 §5.1)."""
    fields = (
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("Pragma", "no-cache"),
    )
    return Response(status, fields, msgspec.json.encode(document))
