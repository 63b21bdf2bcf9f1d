"""API keys: every form a client sends them in, and what is refused."""

from __future__ import annotations

import hmac
import logging
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from oto_trio.control.admin_api.access import given_key
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.rights.callers import USER_HEADER, Callers, KeyRefusedError
from oto_trio.control.credentials import AdminCredentials
from oto_trio.control.store import MemoryStore
from oto_trio.model.api_key import api_key_bearer

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYS = [
    AdminCredentials(client_id="one", client_secret="sé>?:cret"),
    AdminCredentials(client_id="two", client_secret="other"),
]
PAIR = "one:sé>?:cret".encode()


def is_refused(headers: Headers, keys: Sequence[AdminCredentials]) -> tuple[int, str, str] | None:
    async def ask() -> tuple[int, str, str] | None:
        async with MemoryStore() as store:
            try:
                await Callers(keys, store).identify(headers, "GET", "/api/routes")
            except KeyRefusedError as refusal:
                return refusal.status, refusal.message, refusal.cause
            return None

    return trio.run(ask)


def refused(**headers: str) -> tuple[int, str, str] | None:
    return is_refused(Headers({k.replace("_", "-"): v for k, v in headers.items()}), KEYS)


@pytest.mark.parametrize(
    "encoded",
    [
        b64encode(PAIR).decode(),
        b64encode(PAIR).decode().rstrip("="),
        urlsafe_b64encode(PAIR).decode(),
        urlsafe_b64encode(PAIR).decode().rstrip("="),
    ],
)
@pytest.mark.parametrize("scheme", ["Basic ", "basic ", "BASIC  "])
@pytest.mark.parametrize("header", ["authorization", "otoroshi_authorization"])
def test_basic_in_every_alphabet_with_and_without_padding(
    header: str, scheme: str, encoded: str
) -> None:
    assert "+" in b64encode(PAIR).decode() or "/" in b64encode(PAIR).decode()
    assert refused(**{header: scheme + encoded}) is None


def test_two_headers() -> None:
    assert refused(otoroshi_client_id="two", otoroshi_client_secret="other") is None


def test_two_headers_win_over_basic() -> None:
    basic = "Basic " + b64encode(PAIR).decode()
    answer = refused(authorization=basic, otoroshi_client_id="two", otoroshi_client_secret="wrong")
    assert answer is not None
    assert answer[0] == 401


@pytest.mark.parametrize("header", ["authorization", "otoroshi_token"])
def test_a_bearer_made_of_the_secret(header: str) -> None:
    scheme = "Bearer " if header == "authorization" else ""
    assert refused(**{header: scheme + api_key_bearer("two", "other")}) is None
    wrong = refused(**{header: scheme + api_key_bearer("two", "another")})
    assert wrong == (401, "bad apikey", "errors.bad.api.key")


def test_no_key_a_wrong_secret_and_an_unknown_key_are_told_apart_as_otoroshi_does() -> None:
    assert refused() == (400, "no apikey", "errors.no.api.key")
    assert refused(otoroshi_client_id="one") == (400, "no apikey", "errors.no.api.key")
    assert refused(otoroshi_client_id="one", otoroshi_client_secret="other") == (
        401,
        "bad apikey",
        "errors.bad.api.key",
    )
    assert refused(otoroshi_client_id="three", otoroshi_client_secret="other") == (
        400,
        "invalid apikey tuple",
        "errors.invalid.api.key.tuple",
    )


def test_without_keys_nobody_gets_in() -> None:
    headers = Headers({"otoroshi-client-id": "", "otoroshi-client-secret": ""})
    assert is_refused(headers, []) is not None


@given(st.binary(max_size=40))
def test_garbage_is_never_a_key_and_never_an_error(garbage: bytes) -> None:
    headers = Headers(raw=[(b"authorization", b"Basic " + garbage)])
    assert is_refused(headers, KEYS) is not None


def test_basic_without_a_colon_is_no_key() -> None:
    encoded = b64encode(b"onlyid").decode()
    assert given_key(Headers({"authorization": f"Basic {encoded}"})) is None


def test_a_secret_is_never_shown() -> None:
    assert "cret" not in repr(KEYS[0]).replace("client_secret", "")
    assert "cret" not in f"{KEYS}".replace("client_secret", "")


REFERENCE = "${vault://env/CI_SECRET}"


def in_vault(**rotation: object) -> bytes:
    key = {
        "clientId": "ci",
        "clientSecret": REFERENCE,
        "authorizedEntities": ["group_admin-api-group"],
        "rotation": rotation,
    }
    return msgspec.json.encode(key)


def shows(secret: str) -> Headers:
    return Headers({"otoroshi-client-id": "ci", "otoroshi-client-secret": secret})


def user_token(secret: str) -> str:
    def encoded(value: object) -> str:
        return urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")

    session = {"randomId": "r", "name": "Ann", "email": "ann@example.com"}
    user = msgspec.json.encode(session).decode()
    signed = f"{encoded({'alg': 'HS512', 'typ': 'JWT'})}.{encoded({'user': user})}"
    digest = hmac.digest(secret.encode(), signed.encode(), "sha512")
    return f"{signed}.{urlsafe_b64encode(digest).decode().rstrip('=')}"


@pytest.mark.parametrize("rotation", [{}, {"enabled": True, "nextSecret": REFERENCE}])
async def test_the_text_of_a_reference_to_a_vault_is_no_secret(
    rotation: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    bearer = Headers({"otoroshi-token": api_key_bearer("ci", REFERENCE)})
    async with MemoryStore() as store:
        await store.put("apikeys", "ci", in_vault(**rotation))
        callers = Callers([], store)
        with caplog.at_level(logging.WARNING):
            for headers in (shows(REFERENCE), bearer, shows("not-found"), shows("")):
                with pytest.raises(KeyRefusedError) as refused:
                    await callers.identify(headers, "GET", "/api/routes")
                assert refused.value.status in (400, 401)
    (told,) = caplog.messages
    assert "'ci'" in told
    assert "vault" in told
    assert "CI_SECRET" not in told


async def test_a_next_secret_that_is_written_out_counts_beside_a_reference() -> None:
    async with MemoryStore() as store:
        await store.put("apikeys", "ci", in_vault(enabled=True, nextSecret="plain"))
        caller = await Callers([], store).identify(shows("plain"), "GET", "/api/routes")
    assert caller.client_id == "ci"


@pytest.mark.parametrize("secret", [REFERENCE, "", "not-found"])
async def test_the_text_of_a_reference_signs_no_token_of_a_user(secret: str) -> None:
    async with MemoryStore() as store:
        await store.put("apikeys", "ci", in_vault())
        callers = Callers([], store)
        caller = await callers.identify(Headers({}), "GET", "/api/routes", vouched="ci")
        assert caller.client_id == "ci", "the gateway has seen what the vault has"
        signed = Headers({USER_HEADER: user_token(secret)})
        with pytest.raises(ApiError):
            await callers.identify(signed, "GET", "/api/routes", vouched="ci")
        plain = msgspec.json.decode(in_vault()) | {"clientSecret": "plain"}
        await store.put("apikeys", "ci", msgspec.json.encode(plain))
        signed = Headers({USER_HEADER: user_token("plain")})
        user = await callers.identify(signed, "GET", "/api/routes", vouched="ci")
        assert user.email == "ann@example.com", "the token itself is right"
