"""Distinguished names: read from text, and written the way Otoroshi shows and compares them.

Otoroshi takes ``CN=a, OU=b, O=c`` and puts the parts into the certificate in this order. What it shows
(``subject`` of a certificate, ``subjectDN`` of facts and headers) is normalised: the parts sorted by
the name of their attribute, descending: ``OU=b, O=c, CN=a``. Plugins match patterns against that form,
so it is the same here.
"""

from __future__ import annotations

import re
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from oto_trio.pki.errors import PkiError

__all__ = ["LONGEST_COMMON_NAME", "common_name", "make_name", "normalised_name", "parse_name"]

LONGEST_COMMON_NAME: Final = 64
"""Characters a common name may have. Source: RFC 5280 appendix A.1, ub-common-name."""

MOST_PARTS: Final = 32
"""Parts of a name that are taken."""

_OIDS: Final = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "S": NameOID.STATE_OR_PROVINCE_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "SN": NameOID.SERIAL_NUMBER,  # so in Otoroshi's library, where others read a surname
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "SURNAME": NameOID.SURNAME,
    "GIVENNAME": NameOID.GIVEN_NAME,
    "T": NameOID.TITLE,
    "TITLE": NameOID.TITLE,
    "PSEUDONYM": NameOID.PSEUDONYM,
    "GENERATION": NameOID.GENERATION_QUALIFIER,
    "DNQUALIFIER": NameOID.DN_QUALIFIER,
    "E": NameOID.EMAIL_ADDRESS,
    "EMAILADDRESS": NameOID.EMAIL_ADDRESS,
}
_SHOWN: Final = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.USER_ID: "UID",
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
    NameOID.SURNAME: "SURNAME",
    NameOID.GIVEN_NAME: "GIVENNAME",
    NameOID.TITLE: "T",
    NameOID.GENERATION_QUALIFIER: "GENERATION",
    NameOID.DN_QUALIFIER: "DNQ",
    NameOID.EMAIL_ADDRESS: "EMAILADDRESS",
}
_DOTTED: Final = re.compile(r"[0-2](\.\d{1,9}){1,20}")


def parse_name(text: str, path: str = "$.subject") -> x509.Name:
    """Read a distinguished name such as ``CN=api.localhost, OU=Team, O=Company``.

    A comma or another special character in a value is written with a backslash before it, or the whole
    value in double quotes.

    Args:
        text: The name; its parts go into the certificate in this order.
        path: What to name when it cannot be read.

    Raises:
        PkiError: It cannot be read; says which part.
    """
    parts = _split(text, path)
    return _name([(key, value) for key, value in parts], path)


def make_name(parts: dict[str, str], path: str = "$.name") -> x509.Name:
    """Make a name from attributes by their names, in their order.

    Raises:
        PkiError: An attribute is unknown, or its value is not allowed.
    """
    return _name(list(parts.items()), path)


def _split(text: str, path: str) -> list[tuple[str, str]]:
    """Take a name apart into attributes and values."""
    found: list[tuple[str, str]] = []
    current: list[str] = []
    is_quoted = is_escaped = False
    for char in [*text, ","]:
        if is_escaped:
            current.append(char)
            is_escaped = False
        elif char == "\\":
            is_escaped = True
        elif char == '"':
            is_quoted = not is_quoted
        elif char == "," and not is_quoted:
            part = "".join(current).strip()
            current.clear()
            key, equals, value = part.partition("=")
            if not equals or not key.strip() or not value.strip():
                raise PkiError(path, f"{part!r:.80} is no part of a name", "write CN=…, OU=…, O=…")
            found.append((key.strip(), value.strip()))
        else:
            current.append(char)
    if is_quoted or is_escaped or current:
        raise PkiError(path, "the name ends within quotes or a backslash", "close the quotes")
    return found


def _name(parts: list[tuple[str, str]], path: str) -> x509.Name:
    """Make a name from attributes and values."""
    if len(parts) > MOST_PARTS:
        raise PkiError(path, f"a name of {len(parts)} parts", f"use at most {MOST_PARTS}")
    relative: list[x509.RelativeDistinguishedName] = []
    for key, value in parts:
        oid = _OIDS.get(key.upper())
        if oid is None:
            dotted = key.upper().removeprefix("OID.")
            if not _DOTTED.fullmatch(dotted):
                known = ", ".join(dict.fromkeys(_SHOWN.values()))
                raise PkiError(path, f"{key!r:.40} is no attribute of a name", f"use {known}")
            oid = x509.ObjectIdentifier(dotted)
        if not value.isprintable():
            raise PkiError(path, f"control characters in {key}", "use visible characters")
        try:
            attribute = x509.NameAttribute(oid, value)
        except ValueError as error:
            raise PkiError(path, f"{key}: {error}", "shorten or correct the value") from None
        relative.append(x509.RelativeDistinguishedName([attribute]))
    return x509.Name(relative)


def normalised_name(name: x509.Name) -> str:
    """Write a name as Otoroshi shows and compares it; ``--`` when it is empty."""
    parts: list[tuple[str, str]] = []
    for relative in reversed(list(name.rdns)):
        shown = [(_attribute(a), _quoted(_text(a))) for a in relative]
        label = " + ".join(f"{key}={value}" for key, value in shown)
        first = shown[0][0].lower()
        parts.append(("surname" if first == "sn" else first, label))
    parts.sort(key=lambda part: part[0], reverse=True)
    return ", ".join(label for _, label in parts) or "--"


def common_name(name: x509.Name) -> str | None:
    """Return the common name, the most specific one; None when there is none."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return _text(found[0]) if found else None


def _attribute(attribute: x509.NameAttribute[str | bytes]) -> str:
    """Return the name of an attribute as it is shown."""
    return _SHOWN.get(attribute.oid, f"OID.{attribute.oid.dotted_string}")


def _text(attribute: x509.NameAttribute[str | bytes]) -> str:
    """Return the value of an attribute."""
    value = attribute.value
    return value if isinstance(value, str) else value.hex()


def _quoted(value: str) -> str:
    """Put a value in quotes where it would not be read back otherwise."""
    if not set(value) & set(',+=<>#;"\\') and value == value.strip():
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
