"""Check HTTP message signatures of requests.

Phases: access, transform_request.
Otoroshi: ``cp:otoroshi.next.plugins.HttpSignatureVerifyRequest``.
"""

from functools import cached_property
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import BodyTooLarge, Config, Exchange, Plugin, Refusal, Response
from oto_trio.plugin_api.signatures import MessageVerifier
from oto_trio.plugin_api.undecided import bring_key_sets

__all__ = ["HttpSignatureVerifyRequest", "HttpSignatureVerifyRequestConfig"]

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Longest body whose digest is checked."""

JSON: Final = [("Content-Type", "application/json")]


class HttpSignatureVerifyRequestConfig(Config, frozen=True):
    """The keys, and what signatures must be like."""

    nullable: ClassVar[frozenset[str]] = frozenset({"max_age_seconds"})

    keys: Annotated[
        tuple[dict[str, Any], ...],
        Meta(
            description="Keys: kind inline with secret_or_pem, cert with cert_id, or jwks with url; "
            "keyid and alg narrow their use."
        ),
    ] = ()
    required_components: Annotated[
        tuple[str, ...], Meta(description="What a signature must cover.")
    ] = ("@method", "@target-uri")
    allowed_algorithms: Annotated[tuple[str, ...], Meta(description="Algorithms that count.")] = (
        "hmac-sha256",
        "rsa-pss-sha512",
        "rsa-v1_5-sha256",
        "ecdsa-p256-sha256",
        "ecdsa-p384-sha384",
        "ed25519",
    )
    require_keyid: Annotated[bool, Meta(description="A signature must name its key.")] = True
    max_age_seconds: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="How old a signature may be, created is a must then; null: any age."),
    ] = 300
    clock_skew_seconds: Annotated[int, Meta(ge=0, description="How far clocks may differ.")] = 30
    signature_label: Annotated[
        str | None, Meta(description="The one signature that counts; any by default.")
    ] = None
    mandatory: Annotated[bool, Meta(description="Refuse requests without a signature.")] = False

    def __post_init__(self) -> None:
        """Refuse keys, components and algorithms that cannot be used when the config is read."""
        MessageVerifier(msgspec.json.encode(self))


class HttpSignatureVerifyRequest(Plugin[HttpSignatureVerifyRequestConfig]):
    """Refuses with 401 a request whose signature does not hold (RFC 9421), with 400 one that is none.

    Signed is what the backend gets: method, path and query as the gateway forwards them. A signature that
    covers ``content-digest`` has its body read, 16 MiB at most, and compared.

    Stricter than Otoroshi: with ``max_age_seconds`` a signature without ``created`` is refused, and ``;sf``
    writes the field anew as the RFC says.

    A key set at a URL (kind ``jwks``) is fetched when a signature names a key that no other source has,
    within 10 s, and believed for 10 minutes; a key that it does not have has it fetched again, once in 10 s
    at most. A set that cannot be fetched again is believed for 10 minutes more.
    """

    id = "cp:otoroshi.next.plugins.HttpSignatureVerifyRequest"
    name = "Verify HTTP Message Signature"
    description = "Verifies RFC 9421 signatures on incoming requests."
    categories = ("AccessControl",)

    @cached_property
    def _verifier(self) -> MessageVerifier:
        """The engine's own check."""
        return MessageVerifier(msgspec.json.encode(self.config))

    @override
    async def access(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        headers = request.headers.items()
        await bring_key_sets(exchange, lambda: self._verifier.wanted(headers, exchange))
        passes, _, covers_digest, status, body = self._verifier.verify(
            request.method,
            "https" if exchange.secured else "http",
            request.host,
            request.path,
            request.query,
            headers,
            exchange.unix_time,
            exchange,
        )
        if not passes:
            return Response(status, JSON, body)
        if covers_digest:
            # Two slots of this plugin may judge by different signatures: each checks its own.
            exchange.attrs[f"{self.id}:{id(self)}"] = True
        return None

    @override
    async def transform_request(self, exchange: Exchange) -> Response | Refusal | None:
        if f"{self.id}:{id(self)}" not in exchange.attrs:
            return None
        headers = exchange.request.headers.items()
        try:
            body = await exchange.request.read(MAX_BODY_BYTES) if exchange.request.has_body else b""
        except BodyTooLarge:
            return Refusal(413, "Request entity too large", "errors.entity.too.large")
        fault = MessageVerifier.digest_fault(headers, body)
        if fault is None:
            return None
        told = {"error": "invalid_http_signature", "details": fault}
        return Response(401, JSON, msgspec.json.encode(told))
