"""Let only clients in whose certificate is in lists that a service keeps.

Phases: access.
Otoroshi: ``cp:otoroshi.next.plugins.NgHasClientCertMatchingHttpValidator``.
"""

import logging
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
import trio
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Plugin, Refusal
from oto_trio.plugin_api.calls import CallError, fetch
from oto_trio.plugin_api.certificate_rules import CertificateRules

__all__ = ["NgHasClientCertMatchingHttpValidator", "NgHasClientCertMatchingHttpValidatorConfig"]

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 512 * 1024
"""Longest lists that are read."""

MAX_CALL_S: Final = 30.0
"""Longest call for the lists."""


class NgHasClientCertMatchingHttpValidatorConfig(Config, frozen=True):
    """Where the lists are."""

    url: Annotated[str, Meta(description="Where the lists are fetched from.")] = (
        "https://validate.foo.bar"
    )
    method: Annotated[str, Meta(description="The method of the call.")] = "GET"
    timeout: Annotated[
        int,
        Meta(ge=1, description="Milliseconds for the call, and until the lists are fetched again."),
    ] = 2000
    headers: Annotated[dict[str, str], Meta(description="Fields to send.")] = {}
    tls: Annotated[
        dict[str, Any], Meta(description="loose or trust_all switch the certificate's check off.")
    ] = msgspec.field(
        default_factory=lambda: {
            "certs": list[str](),
            "trusted_certs": list[str](),
            "enabled": False,
            "loose": False,
            "trust_all": False,
        }
    )

    def __post_init__(self) -> None:
        """Refuse an address that is none."""
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError("url: give an address that begins with https:// or http://")


class _Lists(msgspec.Struct):
    """What the service answers."""

    serial_numbers: tuple[str, ...] = msgspec.field(default=(), name="serialNumbers")
    subject_dns: tuple[str, ...] = msgspec.field(default=(), name="subjectDNs")
    issuer_dns: tuple[str, ...] = msgspec.field(default=(), name="issuerDNs")
    regex_subject_dns: tuple[str, ...] = msgspec.field(default=(), name="regexSubjectDNs")
    regex_issuer_dns: tuple[str, ...] = msgspec.field(default=(), name="regexIssuerDNs")


class NgHasClientCertMatchingHttpValidator(Plugin[NgHasClientCertMatchingHttpValidatorConfig]):
    """Refuses with 403 a client with no certificate of its chain in the lists of a service.

    The service answers 200 with ``serialNumbers``, ``subjectDNs``, ``issuerDNs``, ``regexSubjectDNs`` and
    ``regexIssuerDNs``, which match as those of ``NgHasClientCertMatchingValidator``; anything else lets
    nobody in. Lists are kept for ``timeout`` milliseconds. After that one exchange fetches them again,
    while the others go by those that are there; when its client leaves, the next one does.

    Each worker keeps lists of its own. Certificates of the store are not used for the call.
    """

    id = "cp:otoroshi.next.plugins.NgHasClientCertMatchingHttpValidator"
    name = "Client certificate matching (over http)"
    description = "Checks the client certificate's chain against lists that a service keeps."
    categories = ("AccessControl",)

    def __init__(self, config: NgHasClientCertMatchingHttpValidatorConfig) -> None:
        super().__init__(config)
        self._lock = trio.Lock()
        self._rules: CertificateRules | None = None
        self._good_until = -float("inf")

    @override
    async def access(self, exchange: Exchange) -> Refusal | None:
        certificate = exchange.client_certificate
        if certificate is not None and (await self._current()).admit(certificate):
            return None
        return Refusal(403, "forbidden")

    async def _current(self) -> CertificateRules:
        """Return the lists, fetched when there are none or nobody else renews old ones."""
        if self._rules is not None and (
            trio.current_time() < self._good_until or self._lock.locked()
        ):
            return self._rules
        async with self._lock:
            # Somebody may have brought them while this task waited.
            if self._rules is None or trio.current_time() >= self._good_until:
                self._rules = await self._fetched()
                self._good_until = trio.current_time() + self.config.timeout / 1000
            return self._rules

    async def _fetched(self) -> CertificateRules:
        """Ask the service; no lists when it does not answer as it should."""
        config, tls = self.config, self.config.tls
        insecure = bool(tls.get("enabled")) and bool(tls.get("loose") or tls.get("trust_all"))
        if insecure:
            logger.warning("lists are fetched without a check of the server's certificate, as set")
        timeout_s = min(config.timeout / 1000, MAX_CALL_S)
        try:
            with trio.fail_after(timeout_s):
                status, body = await fetch(
                    config.method,
                    config.url,
                    headers={"Accept": "application/json"} | config.headers,
                    most_bytes=MAX_BODY_BYTES,
                    timeout_s=timeout_s,
                    insecure=insecure,
                )
            if status != 200:
                raise CallError(f"status {status}")
            lists = msgspec.json.decode(body, type=_Lists)
            return CertificateRules(
                lists.serial_numbers,
                lists.subject_dns,
                lists.issuer_dns,
                lists.regex_subject_dns,
                lists.regex_issuer_dns,
            )
        except (CallError, trio.TooSlowError, msgspec.MsgspecError, ValueError) as error:
            # What a pattern's error quotes may be private; the kind of error tells enough.
            told = error if isinstance(error, CallError) else type(error).__name__
            logger.warning("no lists of client certificates could be fetched: %s", told)
            return CertificateRules()
