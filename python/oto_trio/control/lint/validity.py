"""Until when a certificate is valid: what its chain says, not what its document does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.pki import PkiError
from oto_trio.pki.pem import read_certificates

if TYPE_CHECKING:
    from oto_trio.model.certificate import Certificate

__all__ = ["DAY_MS", "valid_to"]

DAY_MS: Final = 86_400_000


def valid_to(certificate: Certificate) -> int | None:
    """Return the end of a certificate's validity, Unix time in ms; None when it cannot be read.

    The dates in a document are computed when it is saved, so those of a file may be anything.
    """
    try:
        chain = read_certificates(certificate.chain)
    except PkiError:
        return None
    return int(chain[0].not_valid_after_utc.timestamp() * 1000) if chain else None
