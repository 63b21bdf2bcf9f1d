"""Predicates on JSON values."""

import pytest

from oto_trio.plugin_api.json_values import JsonPathValidator, compile_path, value_meets

DOCUMENT = {
    "text": "abc",
    "number": 1.5,
    "flag": False,
    "nothing": None,
    "empty": [],
    "list": ["ab", "cd", 3, {"a": 1}],
    "object": {"a": [1]},
}


@pytest.mark.parametrize(
    ("path", "expected", "holds"),
    [
        ("$.text", "abc", True),
        ("$.text", "Wildcard(a*)", True),
        ("$.text", "NotContainedIn(abc, d)", False),
        ("$.number", 1.5, True),
        ("$.number", "1.5", True),
        ("$.number", "Not(1.5)", False),
        ("$.flag", "false", True),
        ("$.flag", True, False),
        ("$.nothing", None, True),
        ("$.nothing", "IsDefined()", True),
        ("$.empty", "Size(0)", True),
        ("$.empty", "[]", True),
        ("$.list", "Size(4)", True),
        ("$.list", "Size(x)", False),
        ("$.list", "SizeNot(4)", False),
        ("$.list", "SizeLt(5)", True),
        ("$.list", "SizeGt(4)", False),
        ("$.list", "SizeLte(4)", True),
        ("$.list", "SizeGte(5)", False),
        ("$.list", "Contains(cd)", True),
        ("$.list", "Contains(c)", False),
        ("$.list", "ContainsNot(x)", True),
        ("$.list", "Contains(Regex(c.))", True),
        ("$.list", "Contains(Wildcard(c*))", True),
        ("$.list", "ContainsNot(Regex(c.))", False),
        ("$.list", 'JsonContains({"a":1})', True),
        ("$.list", "JsonContains(4)", False),
        ("$.list", "JsonContains(nonsense)", False),
        ("$.list", 'JsonContainsNot("ab")', False),
        ("$.list", 'JsonContains(Wildcard("a*))', True),
        ("$.list", "StartsWith(a)", True),
        ("$.list", "DontStartsWith(a)", False),
        ("$.list", 3, True),
        ("$.list", 4, False),
        ("$.list", '["ab","cd",3,{"a":1}]', True),
        ("$.object", '{"a":[1]}', True),
        ("$.object", {"a": [1]}, True),
        ("$.list[?(@ == 'ab')]", True, True),
        ("$.list[?(@ == 'xy')]", True, False),
        ("$.list[?(@ == 'xy')]", False, True),
        ("$.list[?(@ == 'xy')]", "NotDefined()", True),
        ("$.lost", "NotDefined()", True),
        ("$.lost", "ContainsNot(a)", False),
    ],
)
def test_a_value_is_as_expected(path: str, expected: object, holds: bool) -> None:
    assert value_meets(compile_path(path), DOCUMENT, expected) == holds


def test_expressions_are_not_judged_before_they_have_values() -> None:
    assert JsonPathValidator("$.${a}[", "Regex(${a}()").fault() is None
