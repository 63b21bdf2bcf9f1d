"""Let only clients in whose certificate is listed.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgHasClientCertMatchingValidator``.
"""

from functools import cached_property
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, steps
from oto_trio.plugin_api.certificate_rules import CertificateRules
from oto_trio.plugin_api.patterns import pattern_fault

__all__ = ["NgHasClientCertMatchingValidator", "NgHasClientCertMatchingValidatorConfig"]


class NgHasClientCertMatchingValidatorConfig(Config, frozen=True):
    """The lists; one entry that matches a certificate of the chain is enough."""

    mandatory: Annotated[bool, Meta(description="Refuse a client without a certificate, too.")] = (
        True
    )
    serial_numbers: Annotated[
        tuple[str, ...], Meta(description="Serial numbers in hexadecimal.")
    ] = ()
    subject_dns: Annotated[
        tuple[str, ...], Meta(description="Subjects; * stands for any text.")
    ] = ()
    issuer_dns: Annotated[tuple[str, ...], Meta(description="Issuers; * stands for any text.")] = ()
    regex_subject_dns: Annotated[
        tuple[str, ...], Meta(description="Regular expressions for the whole subject.")
    ] = ()
    regex_issuer_dns: Annotated[
        tuple[str, ...], Meta(description="Regular expressions for the whole issuer.")
    ] = ()

    def __post_init__(self) -> None:
        """Refuse a pattern that is none when the config is read."""
        for field in ("regex_subject_dns", "regex_issuer_dns"):
            for at, source in enumerate(getattr(self, field)):
                fault = pattern_fault(source)
                if fault is not None:
                    raise ValueError(f"{field}[{at}]: {fault}")


class NgHasClientCertMatchingValidator(Plugin[NgHasClientCertMatchingValidatorConfig]):
    """Refuses with 403 a client with no certificate of its chain in a list.

    Names are compared as ``OU=…, O=…, CN=…``, their parts sorted by attribute, the last letter first; in
    the lists with ``*`` the parts may be in any order.
    """

    id = "cp:otoroshi.next.plugins.NgHasClientCertMatchingValidator"
    name = "Client certificate matching"
    description = "Checks the client certificate's chain against lists."
    categories = ("AccessControl",)

    @cached_property
    def _rules(self) -> CertificateRules:
        config = self.config
        return CertificateRules(
            config.serial_numbers,
            config.subject_dns,
            config.issuer_dns,
            config.regex_subject_dns,
            config.regex_issuer_dns,
        )

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        certificate = exchange.client_certificate
        if certificate is None:
            is_allowed = not self.config.mandatory
        else:
            is_allowed = self._rules.admit(certificate)
        return None if is_allowed else Refusal(403, "forbidden")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("client_cert_matching", Phase.ACCESS, self.config),)
