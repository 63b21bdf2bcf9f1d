"""A plugin's config: effective values, and errors that name the field and the fix."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, field
from typing_extensions import override

from oto_trio.plugin_api import Config, PluginError
from oto_trio.plugin_api.config import (
    config_schema,
    default_config,
    effective_config,
    read_config,
    unread_config_keys,
)
from oto_trio.plugin_api.encrypted_tokens import JweConfig
from oto_trio.plugin_api.fields import HeaderName, HeaderValue


class Inner(msgspec.Struct, frozen=True):
    a: int = 1
    b: int = 2


class Sample(Config, frozen=True):
    code: Annotated[int, Meta(description="The status.", ge=100)] = 303
    headers: Annotated[dict[HeaderName, HeaderValue], Meta(description="Fields.")] = field(
        default_factory=dict[str, str]
    )
    inner: Inner = Inner()
    note: str | None = "x"


class Optional(Config, frozen=True):
    ratio: float | msgspec.UnsetType = msgspec.UNSET


class Needy(Config, frozen=True):
    url: Annotated[str, Meta(description="Where to.")]


class Renamed(Config, frozen=True):
    names: tuple[str, ...] = ()

    @classmethod
    @override
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        raw["names"] = raw["names"] or raw.pop("old_names", [])
        return raw


def test_the_default_config_is_json() -> None:
    assert default_config(Sample) == {
        "code": 303,
        "headers": {},
        "inner": {"a": 1, "b": 2},
        "note": "x",
    }
    assert default_config(Needy) == {}
    assert default_config(Optional) == {}
    assert default_config(None) is None


def test_the_slot_wins_and_only_the_top_level_is_merged() -> None:
    merged = effective_config(Sample, {"inner": {"a": 5}, "extra": True})
    assert merged["inner"] == {"a": 5}
    assert merged["extra"] is True
    assert merged["code"] == 303


def test_null_reads_as_not_given() -> None:
    assert read_config(Sample, {"code": None, "headers": None}) == Sample()


def test_numbers_may_be_written_as_text_and_unknown_keys_are_ignored() -> None:
    assert read_config(Sample, {"code": "404", "form_data": {}}).code == 404


def test_keys_that_nothing_reads_are_named_and_old_names_are_not() -> None:
    assert unread_config_keys(Sample, {"code": 404, "cod": 1, "inner": {}}) == ["cod"]
    assert unread_config_keys(Renamed, {"old_names": ["a"], "older": 1}) == ["older"]
    assert unread_config_keys(Inner, {"a": 2, "c": 3}) == ["c"]
    # Also where the old name has the value that there is without it.
    old: dict[str, object] = {"keyManagementAlgorithm": "RSA_OAEP_256", "meta": {}}
    assert unread_config_keys(JweConfig, old) == ["meta"]


def test_a_key_of_otoroshis_own_default_is_no_slip() -> None:
    place = {"type": "InHeader", "name": "X-JWT-Token", "remove": ""}
    default: dict[str, object] = {
        "keyManagementAlgorithm": "RSA_OAEP_256",
        "contentEncryptionAlgorithm": "A128CBC_HS256",
        "certId": None,
        "source": place,
        "forward_location": place,
        "strict": False,
        "metadata": {},
    }
    assert unread_config_keys(JweConfig, default) == []
    assert unread_config_keys(JweConfig, {"metadata": {"owner": "us"}}) == []
    assert read_config(JweConfig, default) == JweConfig()


def test_an_old_name_is_understood() -> None:
    assert read_config(Renamed, {"old_names": ["a"]}).names == ("a",)


@pytest.mark.parametrize(
    ("config", "path", "message"),
    [
        ({"code": "x"}, "$.code", "expected int, got str"),
        ({"code": 1}, "$.code", "expected int >= 100"),
        ({"headers": []}, "$.headers", "expected object, got array"),
        ({"headers": {"a": "1", "b c": "1"}}, '$.headers["b c"]', "expected a header name"),
        ({"headers": {"a": "1", "b": "1\n"}}, '$.headers["b"]', "expected a header value"),
        ({"headers": {"a": 1}}, '$.headers["a"]', "expected str, got int"),
        ({"inner": {"a": "?"}}, "$.inner.a", "expected int, got str"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path_and_the_fix(
    config: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(PluginError) as caught:
        read_config(Sample, config)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert problem.message.startswith(message)
    assert problem.fix.startswith(f"correct {path}")


def test_the_fix_shows_description_and_default() -> None:
    with pytest.raises(PluginError) as caught:
        read_config(Sample, {"code": []})
    assert caught.value.problems[0].fix == "correct $.code: The status (default 303)"


def test_a_missing_field_is_named() -> None:
    with pytest.raises(PluginError) as caught:
        read_config(Needy, {})
    (problem,) = caught.value.problems
    assert problem.message == "object missing required field url"
    assert problem.fix == "the config has the fields: url"


def test_a_struct_that_is_no_config_is_read_too() -> None:
    assert read_config(Inner, {"a": 3}) == Inner(3, 2)


def test_the_schema_carries_bounds_and_descriptions() -> None:
    schema = config_schema(Sample)
    assert schema is not None
    code = schema["$defs"]["Sample"]["properties"]["code"]
    assert code == {"type": "integer", "minimum": 100, "default": 303, "description": "The status."}
    assert config_schema(None) is None


def test_the_fix_is_that_of_the_innermost_field() -> None:
    with pytest.raises(PluginError) as caught:
        read_config(Sample, {"inner": {"a": "?"}})
    assert caught.value.problems[0].fix == "correct $.inner.a (default 1)"


class Checked(Config, frozen=True):
    spans: Annotated[tuple[str, ...], Meta(description="Some spans.")] = ()

    def __post_init__(self) -> None:
        if "soon" in self.spans:
            raise ValueError("spans[0]: 'soon' is no span; write 5s")
        if "never" in self.spans:
            raise ValueError("spans[0]: 'never' is no span")
        if "odd" in self.spans:
            raise ValueError("all of it: is odd; start again")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("soon", ("$.spans[0]", "'soon' is no span", "write 5s")),
        (
            "never",
            ("$.spans[0]", "'never' is no span", "correct $.spans[0]: Some spans (default [])"),
        ),
        ("odd", ("$", "all of it: is odd; start again", "the config has the fields: spans")),
    ],
)
def test_a_check_of_the_plugins_own_names_field_and_fix(
    value: str, problem: tuple[str, str, str]
) -> None:
    with pytest.raises(PluginError) as caught:
        read_config(Checked, {"spans": [value]})
    (found,) = caught.value.problems
    assert (found.path, found.message, found.fix) == problem


class Choosing(Config, frozen=True):
    colour: Annotated[Literal["red", "green"], Meta(description="The colour.")] = "red"


def test_the_fix_names_the_choices() -> None:
    with pytest.raises(PluginError) as caught:
        read_config(Choosing, {"colour": "blue"})
    expected = "correct $.colour: The colour; one of 'red', 'green' (default \"red\")"
    assert caught.value.problems[0].fix == expected
