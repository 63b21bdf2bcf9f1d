"""Sign responses with HTTP message signatures.

Phases: transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.HttpSignatureSignResponse``.
"""

import logging
import secrets
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import BodyTooLarge, Config, Exchange, Plugin
from oto_trio.plugin_api.signatures import MessageSigner

__all__ = ["HttpSignatureSignResponse", "HttpSignatureSignResponseConfig"]

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Longest body of which a digest is made."""

TELL_AGAIN_S: Final = 60.0
"""A reason why responses go unsigned is logged once in this time."""


class HttpSignatureSignResponseConfig(Config, frozen=True):
    """The key, and what is signed."""

    nullable: ClassVar[frozenset[str]] = frozenset({"expires_in_seconds"})

    key: Annotated[
        dict[str, Any] | None,
        Meta(
            description="The key: kind inline with secret_or_pem, or cert with cert_id; without one "
            "nothing is signed."
        ),
    ] = None
    algorithm: Annotated[
        str,
        Meta(
            description="hmac-sha256, rsa-pss-sha512, rsa-v1_5-sha256, ecdsa-p256-sha256, "
            "ecdsa-p384-sha384 or ed25519; the key must fit."
        ),
    ] = "ed25519"
    keyid: Annotated[str, Meta(description="What the key is called; empty: it is not named.")] = ""
    signature_label: Annotated[str, Meta(description="The signature's label.")] = "sig1"
    components: Annotated[
        tuple[str, ...],
        Meta(description="What is signed, in this order; ;req takes it from the request."),
    ] = ("@status", "content-type", "content-digest")
    expires_in_seconds: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="How long the signature counts; null: it does not tell."),
    ] = 300
    include_created: Annotated[bool, Meta(description="Tell when it was made.")] = True
    include_nonce: Annotated[bool, Meta(description="Add a text that no other signature has.")] = (
        False
    )
    add_content_digest: Annotated[
        bool, Meta(description="Make Content-Digest, when content-digest is signed.")
    ] = True
    content_digest_algorithm: Annotated[
        Literal["sha-256", "sha-512"], Meta(description="How the digest is made.")
    ] = "sha-256"
    tag: Annotated[str | None, Meta(description="What the signature is for.")] = None

    @override
    @classmethod
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        for name in ("algorithm", "content_digest_algorithm"):
            if isinstance(raw.get(name), str):
                raw[name] = raw[name].lower()
        return raw

    def __post_init__(self) -> None:
        """Refuse a key, an algorithm and components that cannot be used when the config is read."""
        MessageSigner(msgspec.json.encode(self))


class HttpSignatureSignResponse(Plugin[HttpSignatureSignResponseConfig]):
    """Adds ``Content-Digest``, ``Signature-Input`` and ``Signature`` to responses (RFC 9421).

    The digest needs the whole body: a response waits for its end, and one of more than 16 MiB goes
    unsigned. So does every response that cannot be signed (no key, a component that it does not have), as
    with Otoroshi; the log tells why, once a minute. What the slots behind this one change is not what was
    signed: let it be the last.

    Unlike Otoroshi: a config that can never sign is refused, and signatures that the response has under
    other labels stay.
    """

    id = "cp:otoroshi.next.plugins.HttpSignatureSignResponse"
    name = "Add HTTP Message signature"
    description = "Signs responses (RFC 9421)."
    categories = ("Security",)
    reads_arrived = True

    def __init__(self, config: HttpSignatureSignResponseConfig) -> None:
        super().__init__(config)
        self._told = ("", -float("inf"))

    @cached_property
    def _signer(self) -> MessageSigner:
        """The engine's own signer."""
        return MessageSigner(msgspec.json.encode(self.config))

    @override
    async def transform_response(self, exchange: Exchange) -> None:
        response, config = exchange.response, self.config
        if response is None:
            return
        if config.key is None:
            self._tell(exchange, "no key is configured")
            return
        covers_digest = any(name.lower() == "content-digest" for name in config.components)
        if config.add_content_digest and covers_digest:
            try:
                body = await response.read(MAX_BODY_BYTES)
            except BodyTooLarge:
                self._tell(exchange, f"a body is longer than {MAX_BODY_BYTES} bytes")
                return
            digest = MessageSigner.content_digest(config.content_digest_algorithm, body)
            response.headers.set("Content-Digest", digest)
        nonce = secrets.token_urlsafe(16) if config.include_nonce else None
        try:
            signed = self._signer.sign(exchange, response.status, response.headers.items(), nonce)
        except ValueError as error:
            self._tell(exchange, str(error))
            return
        for name, value in zip(("Signature-Input", "Signature"), signed, strict=True):
            response.headers.set(name, value)

    def _tell(self, exchange: Exchange, reason: str) -> None:
        """Log why a response is not signed, unless that was told a moment ago."""
        told, at_s = self._told
        if told != reason or exchange.unix_time - at_s >= TELL_AGAIN_S:
            self._told = (reason, exchange.unix_time)
            logger.warning("route %s: responses go unsigned: %s", exchange.route_id, reason)
