"""Give clients tokens where no route takes the request.

Phases: sink. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgClientCredentials``.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Answer,
    BodyTooLarge,
    Config,
    Exchange,
    Phase,
    Plugin,
    Response,
    Step,
    steps,
)
from oto_trio.plugin_api.api_keys import basic_pair, client_of_jwt
from oto_trio.plugin_api.client_credentials import (
    MAX_BODY_BYTES,
    grant_fields,
    granted_token,
    oauth_answer,
    oauth_error,
)
from oto_trio.plugin_api.undecided import settle

__all__ = ["NgClientCredentials", "NgClientCredentialsConfig"]

_PATH: Final = "/.well-known/otoroshi/oauth/token"
_UNAUTHORIZED: Final = (401, "access_denied", "Unauthorized")


class NgClientCredentialsConfig(Config, frozen=True):
    """How long tokens live, what signs them, and where clients ask."""

    expiration: Annotated[int, Meta(ge=1000, description="Life of a token in milliseconds.")] = (
        3_600_000
    )
    default_key_pair: Annotated[
        str, Meta(description="Id of the certificate that signs for keys which name none.")
    ] = "otoroshi-jwt-signing"
    domain: Annotated[str, Meta(description="The domain to answer on; * = any.")] = "*"
    secure: Annotated[bool, Meta(description="Answer over HTTPS only.")] = True
    biscuit: Annotated[
        dict[str, Any] | None, Meta(description="Kept; there are no Biscuit tokens here.")
    ] = None

    @classmethod
    @override
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Take the name that Otoroshi reads, besides the one that it writes."""
        if "defaultKeyPair" in raw:
            raw["default_key_pair"] = raw["defaultKeyPair"]
        return raw


class _Where(msgspec.Struct, frozen=True):
    """What the engine needs to know which requests are meant."""

    domain: str
    secure: bool


class NgClientCredentials(Plugin[NgClientCredentialsConfig]):
    """Answers below ``/.well-known/otoroshi/oauth/`` where no route takes the request.

    It belongs among the slots of the global configuration; in a route it does nothing.
    ``POST token`` gives a token for the id and secret of an API key (RFC 6749 §4.4), ``POST token/introspect``
    tells whose a token is, ``GET jwks.json`` lists the public keys. The token is signed with the key pair that the
    key's metadata ``jwt-sign-keypair`` name, else with ``default_key_pair``, else with the client's secret (HS512).

    Not as Otoroshi: keys that expire in the future get tokens and expired ones do not (Otoroshi has it the other
    way round), its own tokens can be introspected, an EC key signs with the algorithm of its curve, a body of more
    than 64 KiB is answered with 413, and ``bearer_kind`` = ``biscuit`` with 400.
    """

    id = "cp:otoroshi.next.plugins.NgClientCredentials"
    name = "Client Credential Service"
    description = "Gives clients tokens where no route takes the request."
    categories = ("AccessControl",)

    @override
    async def sink(self, exchange: Exchange) -> Answer:
        if not self._reads_body(exchange):
            return settle(exchange)
        try:
            body = await exchange.request.read(MAX_BODY_BYTES)
        except BodyTooLarge:
            return oauth_error(413, "invalid_request", f"send at most {MAX_BODY_BYTES} bytes")
        fields = grant_fields(exchange.request.headers.get("Content-Type") or "", body)
        if fields is None:
            return oauth_error(*_UNAUTHORIZED)
        if exchange.request.path == _PATH:
            return self._grant(exchange, fields)
        return self._introspect(exchange, fields.get("token", ""))

    @override
    def lower(self) -> tuple[Step, ...]:
        where = _Where(self.config.domain, self.config.secure)
        return (steps.Native("client_credentials", Phase.SINK, where, undecided=True),)

    def _grant(self, exchange: Exchange, fields: Mapping[str, str]) -> Response:
        """Answer a request for a token."""
        scheme, _, encoded = (exchange.request.headers.get("Authorization") or "").partition(" ")
        pair = basic_pair(encoded) if scheme.lower() == "basic" else None
        client_id, secret = pair or (fields.get("client_id"), fields.get("client_secret"))
        grant, scope = fields.get("grant_type"), fields.get("scope")
        if grant is None or client_id is None or secret is None:
            return oauth_error(*_UNAUTHORIZED)
        if grant != "client_credentials":
            return oauth_error(400, "unauthorized_client", f"Grant type '{grant}' not supported !")
        if fields.get("bearer_kind") == "biscuit":
            return oauth_error(400, "invalid_request", "there are no Biscuit tokens here")
        key = exchange.find_api_key(client_id)
        if key is None or not key.has_secret(secret) or not key.is_enabled(exchange.unix_time):
            return oauth_error(401, "access_denied", "Bad client credentials")
        granted = set(key.metadata.get("scope", "").split())
        if scope is not None and not set(scope.split()) <= granted:
            refused = f"Client has not been granted scopes: {scope}"
            return oauth_error(403, "access_denied", refused)
        life_s = self.config.expiration // 1000
        token = granted_token(exchange, key, life_s, self.config.default_key_pair)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": life_s}
        return oauth_answer(200, answer if scope is None else {**answer, "scope": scope})

    def _introspect(self, exchange: Exchange, token: str) -> Response:
        """Tell whose a token is."""
        client_id = client_of_jwt(token)
        key = None if client_id is None else exchange.find_api_key(client_id)
        if key is None or not key.has_signed(exchange.native(), token):
            return oauth_error(*_UNAUTHORIZED)
        return oauth_answer(200, {**key.light(), "access_type": "apikey"})

    @staticmethod
    def _reads_body(exchange: Exchange) -> bool:
        """Tell whether the answer is in the request's body; the engine knows all the others."""
        path = exchange.request.path
        return exchange.request.method == "POST" and path in (_PATH, f"{_PATH}/introspect")
