"""Which client certificates are let in: by serial number, by subject or by issuer."""

from collections.abc import Callable, Sequence

from oto_trio.model.matching import is_wildcard_match
from oto_trio.plugin_api.distinguished_names import normalised_name
from oto_trio.plugin_api.exchange import ClientCertificate
from oto_trio.plugin_api.patterns import Pattern

__all__ = ["CertificateRules", "matches_name"]


def matches_name(pattern: str, name: str) -> bool:
    """Tell whether a normalised name matches a pattern, whose parts may be in any order.

    Args:
        pattern: A distinguished name in which ``*`` stands for any text.
        name: What `normalised_name` made of a name.
    """
    return is_wildcard_match(normalised_name(pattern), name) or is_wildcard_match(pattern, name)


class CertificateRules:
    """Lists of certificates; one entry that matches is enough.

    Args:
        serial_numbers: Serial numbers in hexadecimal.
        subject_dns: Subjects, with ``*`` for any text.
        issuer_dns: Issuers, likewise.
        regex_subject_dns: Regular expressions for the whole subject.
        regex_issuer_dns: Likewise for the issuer.

    Raises:
        ValueError: A regular expression is none.
    """

    def __init__(
        self,
        serial_numbers: Sequence[str] = (),
        subject_dns: Sequence[str] = (),
        issuer_dns: Sequence[str] = (),
        regex_subject_dns: Sequence[str] = (),
        regex_issuer_dns: Sequence[str] = (),
    ) -> None:
        self._serials = {serial.lower() for serial in serial_numbers}
        self._subjects, self._issuers = tuple(subject_dns), tuple(issuer_dns)
        self._regex_subjects = [Pattern(source).matches for source in regex_subject_dns]
        self._regex_issuers = [Pattern(source).matches for source in regex_issuer_dns]

    def admit(self, certificate: ClientCertificate) -> bool:
        """Tell whether a certificate of the chain is in a list."""
        return any(self._admit_one(one) for one in certificate.certificates())

    def _admit_one(self, one: ClientCertificate) -> bool:
        return (
            one.serial in self._serials
            or _is_listed(normalised_name(one.subject), self._subjects, self._regex_subjects)
            or _is_listed(normalised_name(one.issuer), self._issuers, self._regex_issuers)
        )


def _is_listed(
    name: str, patterns: Sequence[str], regexes: Sequence[Callable[[str], bool]]
) -> bool:
    return any(matches_name(pattern, name) for pattern in patterns) or any(
        matches(name) for matches in regexes
    )
