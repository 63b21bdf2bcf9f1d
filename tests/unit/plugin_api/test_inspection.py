"""A class that is badly made is refused, with what to do."""

from typing import Any, ClassVar

import msgspec
import pytest
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step
from oto_trio.plugin_api.inspection import (
    check_plugin,
    describe,
    is_inline,
    is_native,
    phases_of,
)


class Settings(Config, frozen=True):
    limit: int = 3


class _Texts:
    id: ClassVar[str] = "cp:test.Good"
    name: ClassVar[str] = "Good"
    description: ClassVar[str] = "Does good."
    categories: ClassVar[tuple[str, ...]] = ("Other",)


class Good(_Texts, Plugin[Settings]):
    size = 3

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        return self._decide(exchange)

    @override
    async def done(self, exchange: Exchange) -> None:
        self._decide(exchange)

    def _decide(self, exchange: Exchange) -> Refusal | None:
        """Decide; a method of its own begins with an underscore."""
        return Refusal(400, "no") if exchange.secured else None


class Native(_Texts, Plugin):
    @override
    def pre_route(self, exchange: Exchange) -> None: ...

    @override
    def lower(self) -> tuple[Step, ...]:
        return ()


def problem_of(plugin: type[Plugin[Any]]) -> tuple[str, str, str]:
    (problem,) = check_plugin(plugin)
    return problem.path.rpartition(".")[2], problem.message, problem.fix


def test_a_good_class_has_no_problem() -> None:
    assert check_plugin(Good) == []
    assert check_plugin(Native) == []
    assert phases_of(Good) == (Phase.ACCESS, Phase.DONE)
    assert is_inline(Good, Phase.ACCESS)
    assert not is_inline(Good, Phase.DONE)
    assert is_native(Native)
    assert not is_native(Good)


def test_a_hook_of_a_base_class_counts() -> None:
    class Derived(Good):
        pass

    assert phases_of(Derived) == (Phase.ACCESS, Phase.DONE)


def test_the_description_is_complete_json() -> None:
    described = describe(Good)
    schema = described.pop("config_schema")
    assert schema["$defs"]["Settings"]["properties"]["limit"]["default"] == 3
    assert described == {
        "id": "cp:test.Good",
        "name": "Good",
        "description": "Does good.",
        "categories": ["Other"],
        "phases": ["access", "done"],
        "steps": ["ValidateAccess"],
        "default_config": {"limit": 3},
        "native": False,
    }
    assert msgspec.json.encode(schema)


def test_a_misspelt_hook_names_the_nearest_phase() -> None:
    class Bad(Good):
        def acces(self, exchange: Exchange) -> None: ...

    assert problem_of(Bad) == (
        "acces",
        "acces is no hook, so it would never run",
        "did you mean access; a method of your own begins with an underscore",
    )


def test_an_unknown_public_method_lists_the_hooks() -> None:
    class Bad(Good):
        @staticmethod
        def zzzzz() -> None: ...

    name, _, fix = problem_of(Bad)
    assert name == "zzzzz"
    assert fix.startswith("the hooks are sink, match_route, pre_route, access")


@pytest.mark.parametrize(
    "member", [property(lambda _: None), staticmethod(print), classmethod(print)]
)
def test_a_hook_is_a_plain_method(member: object) -> None:
    bad = type("Bad", (Good,), {"pre_route": member})
    assert problem_of(bad)[1] == "pre_route must be a plain method"


def test_a_hook_takes_the_exchange_and_nothing_else() -> None:
    class Bad(Good):
        @override
        def pre_route(self) -> None:  # type: ignore[override]
            ...

    assert problem_of(Bad) == (
        "pre_route",
        "pre_route takes other arguments",
        "write def pre_route(self, exchange)",
    )


def test_a_further_argument_with_a_default_is_fine() -> None:
    class Fine(Good):
        @override
        def pre_route(self, exchange: Exchange, limit: int = 3) -> None: ...

    assert check_plugin(Fine) == []


def test_a_hook_does_not_yield() -> None:
    class Bad(Good):
        @override
        async def pre_route(self, exchange: Exchange) -> Any:
            yield None

    assert problem_of(Bad)[1] == "pre_route yields"


@pytest.mark.parametrize("name", ["match_route", "lower"])
def test_some_hooks_cannot_wait(name: str) -> None:
    async def wait(self: object, exchange: object) -> None: ...

    async def wait_alone(self: object) -> None: ...

    bad = type("Bad", (Good,), {name: wait_alone if name == "lower" else wait})
    assert problem_of(bad)[1] == f"{name} cannot wait"


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("id", "", "a plugin needs this text"),
        ("id", "cp:a b", "the id 'cp:a b' holds white space"),
        ("name", 3, "a plugin needs this text"),
        ("description", " ", "a plugin needs this text"),
        ("categories", (), "a plugin needs at least one category"),
        ("categories", "Other", "a plugin needs at least one category"),
        ("Config", dict, "the config is no msgspec struct"),
    ],
)
def test_a_missing_or_wrong_fact_is_named(member: str, value: object, message: str) -> None:
    assert problem_of(type("Bad", (Good,), {member: value}))[:2] == (member, message)


def test_a_class_without_texts_lacks_all_of_them() -> None:
    class Bad(Plugin):
        @override
        def access(self, exchange: Exchange) -> None: ...

    assert len(check_plugin(Bad)) == 4


def test_a_config_must_be_frozen_and_describable() -> None:
    class Open(msgspec.Struct):
        a: int = 1

    class Strange(msgspec.Struct, frozen=True):
        a: Exchange | None = None

    assert problem_of(type("Bad", (Good,), {"Config": Open}))[1].endswith("but it is shared")
    assert "cannot describe" in problem_of(type("Bad", (Good,), {"Config": Strange}))[1]


def test_a_plugin_without_hooks_is_refused() -> None:
    class Idle(_Texts, Plugin):
        pass

    (problem,) = check_plugin(Idle)
    assert problem.message == "the plugin overrides no hook"
