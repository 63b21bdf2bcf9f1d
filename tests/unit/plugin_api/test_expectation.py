"""Otoroshi's notation for header values."""

import pytest

from oto_trio.plugin_api.expectation import fault_of, meets


@pytest.mark.parametrize(
    ("expectation", "good", "bad"),
    [
        ("a", "a", "b"),
        ("", "", "b"),
        ("Not(a)", "b", "a"),
        ("Regex(a+)", "aaa", "aab"),
        ("Regex((a|b))", "b", "c"),
        ("RegexNot(a+)", "b", "aa"),
        ("Wildcard(a.*)", "a.b", "axb"),
        ("WildcardNot(a*)", "b", "ab"),
        ("Contains(bc)", "abcd", "acbd"),
        ("ContainsNot(bc)", "acbd", "abcd"),
        ("ContainedIn(a, b)", "b", "c"),
        ("NotContainedIn(a,b)", "c", "a"),
        ("Unknown(a)", "Unknown(a)", "a"),
        ("Not(a", "Not(a", "b"),
    ],
)
def test_every_form(expectation: str, good: str, bad: str) -> None:
    assert meets(expectation, good)
    assert not meets(expectation, bad)


@pytest.mark.parametrize("expectation", ["", "Not(a)", "RegexNot(a)", "NotContainedIn(a)"])
def test_an_absent_value_meets_nothing(expectation: str) -> None:
    assert not meets(expectation, None)


@pytest.mark.parametrize("expectation", ["a", "Regex(a+)", "Regex((a", "Wildcard([)", "Not([)"])
def test_what_can_run_has_no_fault(expectation: str) -> None:
    assert fault_of(expectation) is None


@pytest.mark.parametrize("expectation", ["Regex([)", "RegexNot((a)"])
def test_what_cannot_run_is_explained(expectation: str) -> None:
    assert fault_of(expectation)
