"""HeadersValidation."""

import pytest

from oto_trio.plugin_api import Refusal, steps
from oto_trio.plugins.headers.headers_validation import HeadersValidation, HeadersValidationConfig
from oto_trio.testing import FakeExchange, FakeRequest, play

REFUSED = Refusal(400, "bad request")


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        ({}, None),
        ({"": "x"}, None),
        ({"X-One": "1"}, None),
        ({"x-one": "1", "X-TWO": "Regex(t.o)"}, None),
        ({"x-one": "1", "X-TWO": "Not(two)"}, REFUSED),
        ({"x-one": "2"}, REFUSED),
        ({"x-many": "1"}, REFUSED),
        ({"x-many": "2"}, REFUSED),
        ({"x-many": "Not(2)"}, REFUSED),
        ({"x-many": "ContainedIn(1,2)"}, None),
        ({"x-absent": "RegexNot(a)"}, REFUSED),
        ({"x-one": "${req.query.one}"}, None),
        ({"x-one": "Not(${req.query.one})"}, REFUSED),
        ({"x-two": "Regex(${req.query.broken})"}, REFUSED),
        ({"x-two": "RegexNot(${req.query.broken})"}, REFUSED),
        ({"x-two": "${req.query.form}"}, REFUSED),
    ],
)
async def test_every_entry_must_be_there_and_match(
    expected: dict[str, str], answer: Refusal | None
) -> None:
    plugin = HeadersValidation(HeadersValidationConfig(expected))
    headers = [("X-One", "1"), ("X-Many", "1"), ("x-many", "2"), ("x-two", "two")]
    assert (
        await play(
            plugin, FakeExchange(FakeRequest(query="one=1&broken=(&form=Not(x)", headers=headers))
        )
        == answer
    )


def test_it_is_native() -> None:
    plugin = HeadersValidation(HeadersValidationConfig({"": "x", "a": "Not(b)"}))
    assert plugin.lower() == (steps.RequireHeaders({"a": "Not(b)"}),)


@pytest.mark.parametrize("pattern", ["Regex((a)", "RegexNot([)"])
def test_a_pattern_that_is_none_is_refused_when_the_config_is_read(pattern: str) -> None:
    with pytest.raises(ValueError, match="no pattern"):
        HeadersValidationConfig({"a": pattern})
