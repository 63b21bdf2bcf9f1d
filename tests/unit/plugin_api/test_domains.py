"""Domain names in configs."""

import pytest

from oto_trio.plugin_api.domains import is_domain_in


@pytest.mark.parametrize(
    ("entries", "is_in"),
    [
        (["API.test"], True),
        ([" api.test "], True),
        (["*.test"], True),
        (["api.test.x", "pi.test"], False),
        ([""], False),
        ([], False),
    ],
)
def test_a_list_has_names_and_patterns(entries: list[str], is_in: bool) -> None:
    assert is_domain_in("api.test", entries) == is_in
