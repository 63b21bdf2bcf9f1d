"""What tests of API keys over real sockets share: credentials of every kind, good and bad."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

__all__ = ["METHODS", "Shown", "basic", "bearer", "key", "protected", "token"]


class Shown(NamedTuple):
    """A credential in a request: what to add to its path, and its headers."""

    query: str = ""
    headers: Mapping[str, str] = {}
    path: str = "/a"


def basic(client_id: str, secret: str) -> str:
    """Write id and secret for basic authentication."""
    return base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def bearer(client_id: str, secret: str) -> str:
    """Make the key's own token."""
    start = f"otoapk_{client_id}"
    return f"{start}_{hmac.new(secret.encode(), start.encode(), hashlib.sha256).hexdigest()}"


def token(client_id: str, secret: str, **claims: Any) -> str:
    """Make a token that the client signs with its secret (RFC 7519, HS256)."""

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(datetime.now(UTC).timestamp())
    body = {"clientId": client_id, "iat": now, "exp": now + 60, **claims}
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(body)}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


METHODS: Mapping[str, Callable[[str, str], Shown]] = {
    "client_id header": lambda c, _: Shown(headers={"X-Api-Key": c}),
    "client_id query": lambda c, _: Shown(f"x-api-key={c}"),
    "client_id cookie": lambda c, _: Shown(headers={"Cookie": f"other=1; x-api-key={c}"}),
    "custom_headers": lambda c, s: Shown(
        headers={"Otoroshi-Client-Id": c, "Otoroshi-Client-Secret": s}
    ),
    "jwt header": lambda c, s: Shown(headers={"Otoroshi-Token": token(c, s)}),
    "jwt authorization": lambda c, s: Shown(headers={"Authorization": f"Bearer {token(c, s)}"}),
    "jwt query": lambda c, s: Shown(f"bearer_auth={token(c, s)}"),
    "jwt cookie": lambda c, s: Shown(headers={"Cookie": f"access_token={token(c, s)}"}),
    "basic header": lambda c, s: Shown(headers={"Otoroshi-Authorization": basic(c, s)}),
    "basic authorization": lambda c, s: Shown(headers={"Authorization": f"Basic {basic(c, s)}"}),
    "basic query": lambda c, s: Shown(f"basic_auth={basic(c, s).replace('=', '%3D')}"),
    "basic cookie": lambda c, s: Shown(headers={"Cookie": f"basic_auth={basic(c, s)}"}),
    "oto_bearer header": lambda c, s: Shown(headers={"Otoroshi-Token": bearer(c, s)}),
    "oto_bearer authorization": lambda c, s: Shown(
        headers={"Authorization": f"Bearer {bearer(c, s)}"}
    ),
    "oto_bearer query": lambda c, s: Shown(f"bearer_auth={bearer(c, s)}"),
    "oto_bearer x-api-key": lambda c, s: Shown(headers={"X-Api-Key": bearer(c, s)}),
    "oto_bearer x-api-key query": lambda c, s: Shown(f"x-api-key={bearer(c, s)}"),
    "oto_bearer cookie": lambda c, s: Shown(headers={"Cookie": f"bearer={bearer(c, s)}"}),
}
"""Every way to show a key, by extractor and place; each gets client id and secret."""


def key(client_id: str, secret: str, **more: Any) -> dict[str, Any]:
    """A key that may call the group `g`."""
    return {
        "clientId": client_id,
        "clientSecret": secret,
        "clientName": f"key {client_id}",
        "authorizedEntities": ["group_g"],
        "allowClientIdOnly": True,
        **more,
    }


def protected(name: str, url: str, **config: Any) -> dict[str, Any]:
    """A route for `<name>.test` in the group `g` that asks for a key."""
    return {
        "id": name,
        "name": name,
        "groups": ["g"],
        "frontend": {"domains": [f"{name}.test"]},
        "backend": {"url": url},
        "plugins": [{"plugin": "cp:otoroshi.next.plugins.ApikeyCalls", "config": config}],
    }
