"""Names and chains of client certificates in the spelling that Otoroshi compares and sends."""

from typing import Any

from oto_trio.plugin_api.exchange import ClientCertificate

__all__ = ["certificate_chain", "normalised_name"]


def normalised_name(name: str) -> str:
    r"""Return a distinguished name as Otoroshi compares it.

    Its parts (``CN=a``), cut at commas that no ``\`` escapes, are sorted by attribute, the last letter of the
    alphabet first; ``SN`` reads as ``SURNAME``.
    """
    parts: list[tuple[str, str]] = []
    for part in _parts(name):
        attribute, _, value = part.partition("=")
        lower = attribute.strip().lower()
        parts.append(("surname" if lower == "sn" else lower, value.strip()))
    parts.sort(key=lambda part: part[0], reverse=True)
    return ", ".join(f"{attribute.upper()}={value}" for attribute, value in parts)


def certificate_chain(certificate: ClientCertificate) -> list[dict[str, Any]]:
    """Return a chain as Otoroshi tells backends of it: times in milliseconds, names normalised."""
    return [
        {
            "subjectDN": normalised_name(one.subject),
            "issuerDN": normalised_name(one.issuer),
            "notAfter": one.not_after_s * 1000,
            "notBefore": one.not_before_s * 1000,
            "serialNumber": one.serial,
            "subjectCN": one.common_name,
            "issuerCN": next(
                (part[3:] for part in _parts(one.issuer) if part.startswith("CN=")), None
            ),
        }
        for one in certificate.certificates()
    ]


def _parts(name: str) -> list[str]:
    """Cut a name at its commas."""
    parts, start, is_escaped = list[str](), 0, False
    for at, char in enumerate(name):
        if char == "," and not is_escaped:
            parts.append(name[start:at].strip())
            start = at + 1
        is_escaped = char == "\\" and not is_escaped
    return [part for part in (*parts, name[start:].strip()) if part]
