"""Sets of addresses."""

import pytest

from oto_trio.plugin_api.addresses import AddressSet, address_fault


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ("10.0.0.7", "10.0.0.7", "10.0.0.70"),
        ("10.1.2.3/16", "10.1.255.255", "10.2.0.0"),
        ("10.0.*", "10.0.9.9", "10.1.0.0"),
        ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
        ("2001:db8::1", "2001:DB8:0::1", "2001:db8::2"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
        ("unkn*", "unknown", "10.0.0.1"),
    ],
)
def test_every_form_of_entry_matches_what_it_says(entry: str, inside: str, outside: str) -> None:
    addresses = AddressSet(["", f" {entry} "])
    assert inside in addresses
    assert outside not in addresses


def test_blank_entries_mean_nothing() -> None:
    assert not AddressSet(["", " "])
    assert address_fault(" ") is None


@pytest.mark.parametrize(
    "entry", ["10.0.0", "10.0.0.0/33", "a/8", "10.0.0.0/", "x", "fe80::1%a", "*/8"]
)
def test_nonsense_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=r"^\[1\]: .* is no address"):
        AddressSet(["10.0.0.7", entry])
    assert address_fault(entry) is not None
