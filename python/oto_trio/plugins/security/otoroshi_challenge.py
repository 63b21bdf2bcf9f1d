"""Have backends prove that they know the gateway: the challenge of Otoroshi's exchange protocol.

Phases: transform_request, transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.OtoroshiChallenge``.
"""

import hmac
import secrets
import string
import uuid
from functools import cached_property
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderName, Phase, Plugin, Refusal, Step, steps
from oto_trio.plugin_api.fields import writable_name
from oto_trio.plugin_api.signatures import TokenKeys

__all__ = ["OtoroshiChallenge", "OtoroshiChallengeConfig"]

ALPHABET: Final = string.ascii_letters + string.digits + "*$%)([]!=+-_:/;.><&"
STATE_CHARS: Final = 128

NOT_SECURED: Final = Refusal(
    502,
    "Backend server does not seems to be secured. Cancelling request !",
    "errors.service.not.secured",
)
NOT_FOUND: Final = Refusal(
    404,
    "No service found for the specified target host, the service descriptor should be verified !",
    "errors.no.service.found",
)
CANNOT_SIGN: Final = Refusal(
    500,
    "an error happened during request-transformation plugins phase",
    "internal_server_error",
)


def default_algorithm() -> dict[str, Any]:
    """Return Otoroshi's default: HMAC with SHA-512 and the secret ``secret``."""
    return {"type": "HSAlgoSettings", "size": 512, "secret": "secret", "base64": False}


class OtoroshiChallengeConfig(Config, frozen=True):
    """The protocol's version, its headers and keys."""

    version: Annotated[
        Literal["V1", "V2"],
        Meta(description="V1 sends the bare state, V2 signed tokens both ways."),
    ] = "V2"
    ttl: Annotated[int, Meta(ge=0, description="Seconds a token of either side lasts.")] = 30
    request_header_name: Annotated[
        HeaderName | None, Meta(description="Header to the backend; Otoroshi-State by default.")
    ] = None
    response_header_name: Annotated[
        HeaderName | None,
        Meta(description="Header from the backend; Otoroshi-State-Resp by default."),
    ] = None
    algo_to_backend: Annotated[
        dict[str, Any], Meta(description="Algorithm settings that sign the token to the backend.")
    ] = msgspec.field(default_factory=default_algorithm)
    algo_from_backend: Annotated[
        dict[str, Any], Meta(description="Algorithm settings that check the backend's token.")
    ] = msgspec.field(default_factory=default_algorithm)
    state_resp_leeway: Annotated[
        int, Meta(ge=0, description="Seconds the backend's clock may be off.")
    ] = 10

    @override
    @classmethod
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        version = str(raw.get("version", "V2")).upper()
        raw["version"] = version if version.startswith("V") else f"V{version}"
        return raw

    def __post_init__(self) -> None:
        """Refuse headers and keys that cannot be used when the config is read."""
        writable_name("request_header_name", self.request_header_name or "")
        writable_name("response_header_name", self.response_header_name or "")
        if self.version == "V1":
            return
        for field, algorithm in (
            ("algo_to_backend", self.algo_to_backend),
            ("algo_from_backend", self.algo_from_backend),
        ):
            if algorithm.get("type") == "JWKSAlgoSettings":
                raise ValueError(f"{field}: a key set at a URL cannot be used for the challenge")
            try:
                TokenKeys(msgspec.json.encode(algorithm))
            except ValueError as error:
                raise ValueError(f"{field}.{error}") from error


class OtoroshiChallenge(Plugin[OtoroshiChallengeConfig]):
    """Sends a random state with each request and answers 502 unless the backend sends it back.

    V2, the default: the backend gets a JWT with the claim ``state`` in ``Otoroshi-State`` and answers in
    ``Otoroshi-State-Resp`` with a JWT whose claims are ``aud`` ``Otoroshi``, ``state-resp`` the state,
    ``iat`` and ``exp``, at most ``ttl`` seconds apart. V1: the state goes and comes back as it is. The
    backend's header never reaches the client, and the state never does in an error page.

    What was wrong with an answer stands in the exchange's event under ``stateRespInvalid``; unlike
    Otoroshi's, without the headers of both messages, which may hold secrets.
    """

    id = "cp:otoroshi.next.plugins.OtoroshiChallenge"
    name = "Otoroshi challenge token"
    description = "Exchanges a challenge with the backend, which proves that it knows the gateway."
    categories = ("Security", "Classic")

    @cached_property
    def _to(self) -> TokenKeys:
        """What signs the token to the backend."""
        return TokenKeys(msgspec.json.encode(self.config.algo_to_backend))

    @cached_property
    def _from(self) -> TokenKeys:
        """What checks the token from the backend."""
        return TokenKeys(msgspec.json.encode(self.config.algo_from_backend))

    @property
    def _response_name(self) -> str:
        return self.config.response_header_name or "Otoroshi-State-Resp"

    @property
    def _key(self) -> str:
        """Where the state is kept while the backend works."""
        return f"{self.id}:{self._response_name}"

    @override
    def transform_request(self, exchange: Exchange) -> Refusal | None:
        state = "".join(secrets.choice(ALPHABET) for _ in range(STATE_CHARS))
        value: str | None = state
        if self.config.version == "V2":
            now = int(exchange.unix_time)
            claims = {
                "iss": "Otoroshi",
                "sub": "Otoroshi",
                "aud": exchange.route_name,
                "exp": now + self.config.ttl,
                "iat": now,
                "nbr": now,
                "jti": str(uuid.uuid4()),
                "state": state,
            }
            value = self._to.sign(msgspec.json.encode(claims), exchange)
        if value is None:
            return CANNOT_SIGN
        name = self.config.request_header_name or "Otoroshi-State"
        exchange.request.headers.remove(name)
        exchange.request.headers.set(name, value)
        exchange.attrs[self._key] = state
        return None

    @override
    def transform_response(self, exchange: Exchange) -> Refusal | None:
        response = exchange.response
        assert response is not None, "the response phase has a response"
        answer = response.headers.get(self._response_name)
        state = exchange.attrs.get(self._key)
        if answer is not None and isinstance(state, str) and self._proves(exchange, state, answer):
            response.headers.remove(self._response_name)
            return None
        upgrading = response.headers.get("X-CleverCloudUpgrade") == "true"
        return NOT_FOUND if response.status == 404 and upgrading else NOT_SECURED

    def _proves(self, exchange: Exchange, state: str, answer: str) -> bool:
        """Tell whether an answer shows that the backend read the state."""
        if self.config.version == "V1":
            return hmac.compare_digest(answer.encode("latin-1"), state.encode("latin-1"))
        try:
            claims = msgspec.json.decode(self._from.verify(answer, exchange))
        except ValueError:
            return False
        return _are_good(claims, state, exchange.unix_time, self.config)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (
            steps.Native("otoroshi_challenge", Phase.TRANSFORM_REQUEST, self.config),
            steps.Native("otoroshi_challenge", Phase.TRANSFORM_RESPONSE, self.config),
        )


def _are_good(
    claims: dict[str, object], state: str, now: float, config: OtoroshiChallengeConfig
) -> bool:
    """Tell whether the claims of a token whose signature is good are what the protocol asks for."""
    times: dict[str, float | None] = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is None:
            times[name] = None
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            times[name] = value
        else:
            return False
    expires, begins, issued = times["exp"], times["nbf"], times["iat"]
    leeway = config.state_resp_leeway
    audience = claims.get("aud")
    audiences = cast("list[object]", audience) if isinstance(audience, list) else [audience]
    answered = claims.get("state-resp")
    return (
        expires is not None
        and issued is not None
        and now < expires + leeway
        and now >= issued - leeway
        and (begins is None or now >= begins - leeway)
        and "Otoroshi" in audiences
        and isinstance(answered, str)
        and hmac.compare_digest(answered.encode(), state.encode())
        and expires - issued <= config.ttl
    )
