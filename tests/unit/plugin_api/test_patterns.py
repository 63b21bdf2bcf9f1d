"""Regular expressions in configs."""

from oto_trio.plugin_api.patterns import Pattern, pattern_fault


def test_a_pattern_matches_the_whole_text() -> None:
    assert Pattern("/a.*").matches("/ab")
    assert not Pattern("/a").matches("/ab")


def test_what_no_pattern_is_has_a_fault() -> None:
    assert pattern_fault("/a.*") is None
    for source in ("(", "(?=a)", "\ud800"):
        assert pattern_fault(source), source
