"""Finding out who asks, from a request's headers.

An administrator who has logged in shows the cookie of a session, and may do what its user may do now. Any
other caller is an API key: that of the settings, or one in the store that is authorised for the admin API. A key
without rights in its metadata may do everything, as with Otoroshi. A console that has such a key may say for
whom it asks, in a token that it signs with the key's secret; a key with rights cannot say so for somebody
with more of them.

A secret that is kept in a vault (``${vault://…}``) is replaced on the way to the workers only. The text of the
reference is no secret, so here it proves nothing: such a key gets in through the gateway, which has seen the
secret, and not on the admin API's own listener.
"""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import msgspec

from oto_trio._core import JwtRefused, JwtVerifier
from oto_trio.control.admin_api.access import given_key
from oto_trio.control.admin_api.admins import SessionCookie, is_own_request
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.resources import API_KEYS
from oto_trio.control.admin_api.rights.caller import TENANT_HEADER, Caller
from oto_trio.control.admin_api.rights.decisions import DEFAULT_TENANT, Rights
from oto_trio.control.admin_api.rights.gates import gate_refusal
from oto_trio.control.admin_api.rights.locations import opens_admin_api, rights_of_key
from oto_trio.control.vaults.references import refers_to_secret
from oto_trio.model.admin_session import AdminSession
from oto_trio.model.api_key import api_key_bearer, is_expired
from oto_trio.model.document import inspect_document
from oto_trio.model.ids import id_problem
from oto_trio.model.simple_admin import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.datastructures import Headers

    from oto_trio.control.admin_api.admins import Sessions
    from oto_trio.control.credentials import AdminCredentials
    from oto_trio.control.store import Store
    from oto_trio.model.document import JsonObject

__all__ = ["Callers", "KeyRefusedError", "not_authorized"]

USER_HEADER: Final = "otoroshi-backoffice-user"
"""Header with the signed token of the user for whom a console asks."""

MOST_TOLD: Final = 1_000
"""Keys whose secret is in a vault that the log has named; then it begins anew."""

logger = logging.getLogger(__name__)

_BEARER: Final = "otoapk_"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class KeyRefusedError(Exception):
    """The API key of a request is not accepted; the answer is the gateway's.

    Args:
        status: HTTP status.
        message: One sentence.
        cause: Otoroshi's cause id.
    """

    def __init__(self, status: int, message: str, cause: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.cause = cause


class _Shown(NamedTuple):
    """What a request shows of an API key: its id, and its secret or a bearer made of it."""

    client_id: str
    secret: str = ""
    bearer: str = ""

    def proves(self, secret: str) -> bool:
        """Tell whether whoever shows this has the secret. Takes the same time for any secret."""
        if self.bearer:
            expected = api_key_bearer(self.client_id, secret)
            return hmac.compare_digest(self.bearer.encode(), expected.encode())
        return hmac.compare_digest(self.secret.encode(), secret.encode())


class _Key(NamedTuple):
    """An API key that was accepted."""

    client_id: str
    secret: str | None
    """What users' tokens are signed with; None when only a vault knows it."""
    rights: Rights | None = None


class Callers:
    """Finds out who asks.

    Args:
        credentials: The keys of the settings; they may do everything.
        store: Where other keys are.
        bypass: Whether everybody who is accepted may do everything (``bypass_user_rights_check``).
        sessions: The sessions of those who logged in; None takes no session.
        cookie: Where a request shows its session.
        clock_ms: Tells Unix time in milliseconds.
    """

    def __init__(
        self,
        credentials: Sequence[AdminCredentials],
        store: Store,
        *,
        bypass: bool = False,
        sessions: Sessions | None = None,
        cookie: SessionCookie | None = None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._credentials = tuple(credentials)
        self._store = store
        self._bypass = bypass
        self._sessions = sessions
        self._cookie = cookie or SessionCookie()
        self._clock_ms = clock_ms
        self._told: set[str] = set()

    async def identify(
        self, headers: Headers, method: str, path: str, *, vouched: str | None = None
    ) -> Caller:
        """Find out who asks.

        Args:
            headers: The request's headers.
            method: Its verb.
            path: Its path.
            vouched: Client id of the API key that the gateway accepted already; a key in the headers
                does not count then. None for a request that shows its key itself.

        Raises:
            KeyRefusedError: There is no API key, or none that is accepted.
            ApiError: The key may not do this, or the user's token is not accepted.
            StoreError: The store cannot be read.
        """
        if vouched is None:
            shown = _shown(headers)
            token = self._cookie.token(headers) if shown is None else None
            if self._sessions is not None and token is not None:
                return await self._logged_in(self._sessions, token, headers, method, path)
            key = await self._key(shown, method, path)
        else:
            key = await self._vouched(vouched, method, path)
        plain = Caller(
            client_id=key.client_id, tenant=_tenant(headers), is_generic=_is_generic(path)
        )
        if self._bypass:
            return plain
        token = headers.get(USER_HEADER)
        if token is not None:
            return _acting_user(token, key, plain, self._clock_ms())
        return msgspec.structs.replace(plain, rights=key.rights)

    async def _logged_in(
        self, sessions: Sessions, token: str, headers: Headers, method: str, path: str
    ) -> Caller:
        """Find out whose session a request shows."""
        if not is_own_request(headers, method):
            raise ApiError(403, "forbidden", "the page of another site made this request")
        found = await sessions.find(token)
        if found is None:
            raise ApiError(401, "not authorized", "the session is over; log in again")
        session, admin = found
        return Caller(
            session=session.random_id,
            name=admin.label,
            email=admin.username,
            rights=None if self._bypass else Rights(admin.rights),
            validators=admin.admin_entity_validators,
            tenant=_tenant(headers),
            is_generic=_is_generic(path),
        )

    async def _key(self, shown: _Shown | None, method: str, path: str) -> _Key:
        """Check the API key of a request."""
        if shown is None:
            raise KeyRefusedError(400, "no apikey", "errors.no.api.key")
        known = False
        accepted: AdminCredentials | None = None
        for one in self._credentials:
            if hmac.compare_digest(shown.client_id.encode(), one.client_id.encode()):
                known = True
                accepted = one if shown.proves(one.client_secret) else accepted
        if accepted is not None:
            return _Key(accepted.client_id, accepted.client_secret)
        document = None if known else await self._stored(shown.client_id)
        if document is None and not known:
            raise KeyRefusedError(400, "invalid apikey tuple", "errors.invalid.api.key.tuple")
        secret = None if document is None else _proved_secret(shown, document)
        if document is not None and secret is None:
            self._tell_of_vault(document, shown.client_id)
        if document is None or secret is None:
            raise KeyRefusedError(401, "bad apikey", "errors.bad.api.key")
        _check_stored(document, method, path, self._clock_ms())
        return _Key(shown.client_id, secret, rights_of_key(document))

    async def _vouched(self, client_id: str, method: str, path: str) -> _Key:
        """Look an API key up whose secret the gateway has seen: it must be in force here and now."""
        document = await self._stored(client_id)
        if document is None:
            raise not_authorized(method, path)
        try:
            _check_stored(document, method, path, self._clock_ms())
        except KeyRefusedError:
            raise not_authorized(method, path) from None
        secret: object = document.get("clientSecret")
        if not isinstance(secret, str) or not secret:
            raise not_authorized(method, path)
        known = None if refers_to_secret(secret) else secret
        return _Key(client_id, known, rights_of_key(document))

    def _tell_of_vault(self, document: JsonObject, client_id: str) -> None:
        """Say once why a key whose secret is in a vault is refused: its owner cannot guess it."""
        kept = [text for text in _secrets(document) if refers_to_secret(text)]
        if not kept or client_id in self._told:
            return
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told.add(client_id)
        logger.warning(
            "the API key %r was refused on the admin API's own listener: its secret is in a vault, which is "
            "asked for the workers only; call the admin API through the gateway, or give the key a "
            "secret of its own",
            client_id,
        )

    async def _stored(self, client_id: str) -> JsonObject | None:
        """Read an API key from the store; None when there is none."""
        if id_problem(client_id):
            return None
        record = await self._store.get(API_KEYS.store_kind, client_id)
        return None if record is None else msgspec.json.decode(record.document)


def _tenant(headers: Headers) -> str:
    """Return the tenant that a request is for."""
    return headers.get(TENANT_HEADER, "").strip().lower() or DEFAULT_TENANT


def _is_generic(path: str) -> bool:
    """Tell whether a path is of the generic dialect."""
    return path.startswith("/apis/")


def not_authorized(method: str, path: str) -> ApiError:
    """Make the refusal of a key that may not use the admin API, or not for this."""
    return ApiError(401, f"You're not authorized - {method} {path}", "")


def _shown(headers: Headers) -> _Shown | None:
    """Find the API key that a request shows."""
    pair = given_key(headers)
    if pair is not None:
        return _Shown(pair[0], secret=pair[1])
    scheme, _, value = headers.get("authorization", "").partition(" ")
    candidates = [headers.get("otoroshi-token", "")]
    if scheme.lower() == "bearer":
        candidates.append(value)
    for token in (candidate.strip() for candidate in candidates):
        client_id, _, digest = token.removeprefix(_BEARER).rpartition("_")
        if token.startswith(_BEARER) and client_id and digest:
            return _Shown(client_id, bearer=token)
    return None


def _proved_secret(shown: _Shown, document: JsonObject) -> str | None:
    """Return the secret of a stored key that a request proves to have, also one that is being rotated in."""
    own = (secret for secret in _secrets(document) if not refers_to_secret(secret))
    proved = [secret for secret in own if shown.proves(secret)]
    return proved[0] if proved else None


def _secrets(document: JsonObject) -> list[str]:
    """Return the secrets of a stored key as they are written."""
    secrets = [document.get("clientSecret")]
    rotation: object = document.get("rotation")
    if isinstance(rotation, dict) and cast("JsonObject", rotation).get("enabled") is True:
        secrets.append(cast("JsonObject", rotation).get("nextSecret"))
    return [secret for secret in secrets if isinstance(secret, str) and secret]


def _check_stored(document: JsonObject, method: str, path: str, now: int) -> None:
    """Refuse a stored key whose secret is right, but that is not one for this request."""
    if document.get("enabled") is False or is_expired(document.get("validUntil"), now):
        raise KeyRefusedError(401, "bad apikey", "errors.bad.api.key")
    is_write = method not in _SAFE
    if not opens_admin_api(document) or (is_write and document.get("readOnly") is True):
        raise not_authorized(method, path)


def _acting_user(token: str, key: _Key, plain: Caller, now: int) -> Caller:
    """Read for whom a console asks.

    Raises:
        ApiError: The token is not of this key, or names a user with more rights than the key has.
    """
    user = None if key.secret is None else _user_of(token, key.secret, now)
    if user is None:
        raise gate_refusal()
    rights = Rights(user.rights)
    if key.rights is not None and not key.rights.covers(rights):
        raise gate_refusal()
    return msgspec.structs.replace(
        plain,
        name=user.name,
        email=user.email,
        rights=rights,
        validators=user.admin_entity_validators,
    )


def _user_of(token: str, secret: str, now: int) -> AdminSession | None:
    """Check a user's token and read the session in it; None when it is not to be trusted."""
    settings = {"type": "HSAlgoSettings", "size": 512, "secret": secret, "base64": False}
    try:
        verifier = JwtVerifier(msgspec.json.encode(settings), algorithms=["HS512"])
        claims: dict[str, Any] = verifier.verify(token, now / 1000)
        raw: object = msgspec.json.decode(claims["user"])
    except (JwtRefused, KeyError, TypeError, ValueError, RecursionError):
        return None
    return inspect_document(AdminSession, raw)[0]
