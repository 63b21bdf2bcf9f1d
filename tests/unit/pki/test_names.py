"""Distinguished names: read as Otoroshi takes them, shown as it shows them."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.pki import PkiError
from oto_trio.pki.names import common_name, make_name, normalised_name, parse_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "CN=Otoroshi Default Root CA Certificate, OU=Otoroshi Certificates, O=Otoroshi",
            "OU=Otoroshi Certificates, O=Otoroshi, CN=Otoroshi Default Root CA Certificate",
        ),
        ("cn=a,OU=b,OU=c,O=d", "OU=c, OU=b, O=d, CN=a"),
        ("C=FR, OU=Foo, O=Bar", "OU=Foo, O=Bar, C=FR"),
        ("CN=a, SN=12, O=b", "SERIALNUMBER=12, O=b, CN=a"),
        (r"CN=a\, b, O=c", 'O=c, CN="a, b"'),
        ('CN="a, b"', 'CN="a, b"'),
        ("CN=a, 1.2.3.4=x, oid.1.2.3.5=y", "OID.1.2.3.5=y, OID.1.2.3.4=x, CN=a"),
        ("EMAILADDRESS=a@b.c, DC=b, DC=c", "EMAILADDRESS=a@b.c, DC=c, DC=b"),
    ],
)
def test_names_are_shown_normalised(text: str, shown: str) -> None:
    assert normalised_name(parse_name(text)) == shown


def test_the_parts_stay_in_their_order_in_the_certificate() -> None:
    name = parse_name("CN=a, OU=b, O=c")
    assert [part.value for part in name] == ["a", "b", "c"]
    assert name == make_name({"CN": "a", "OU": "b", "O": "c"})
    assert common_name(name) == "a"
    assert common_name(x509.Name([])) is None
    assert normalised_name(x509.Name([])) == "--"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no part of a name"),
        ("nonsense", "'nonsense' is no part"),
        ("CN=", "is no part"),
        ("=x", "is no part"),
        ("CN=a,,O=b", "is no part"),
        ("XX=a", "'XX' is no attribute"),
        ("CN=a\nb", "control characters in CN"),
        ("CN=" + "a" * 65, "CN"),
        ("C=FRA", "C:"),
        ('CN="a', "within quotes"),
        ("CN=a\\", "within quotes"),
        (",".join(["OU=x"] * 33), "33 parts"),
    ],
)
def test_what_is_no_name_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(PkiError, match=complaint) as caught:
        parse_name(text)
    assert caught.value.problem.path == "$.subject"


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        name = parse_name(text)
    except PkiError:
        return
    assert list(name)


VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20
).filter(lambda value: value == value.strip())


@given(st.lists(st.tuples(st.sampled_from(["CN", "OU", "O", "L"]), VALUES), min_size=1, max_size=5))
def test_what_is_shown_reads_back(parts: list[tuple[str, str]]) -> None:
    text = ",".join(
        f"{key}=" + "".join("\\" + c if c in '\\,"' else c for c in value) for key, value in parts
    )
    name = parse_name(text)
    assert [a.value for a in name] == [value for _, value in parts]
    again = parse_name(normalised_name(name))
    assert sorted(str(a.value) for a in again) == sorted(value for _, value in parts)
