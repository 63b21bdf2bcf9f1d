"""Forms: made of structs, in the words of Otoroshi's pages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from oto_trio.plugin_api.forms import form_of


class Inner(msgspec.Struct):
    """Part of the config below."""

    on: bool = True


class Everything(msgspec.Struct, rename="camel"):
    """One field of each kind."""

    plain: Annotated[str, Meta(description="A text.")] = ""
    may_be_null: int | None = None
    share: float = 0.5
    choice: Literal["a", "b"] = "a"
    texts: tuple[str, ...] = ()
    choices: tuple[Literal["a", "b"], ...] = ()
    many: tuple[Inner, ...] = ()
    one: Inner | None = None
    by_name: dict[str, str] = {}
    either: str | int = ""
    anything: Any = None


class Tree(msgspec.Struct):
    """Holds itself."""

    left: Tree | None = None
    others: tuple[Tree, ...] = ()


def test_every_kind_of_field_has_its_input() -> None:
    form = form_of(Everything)
    options = {"options": [{"label": "a", "value": "a"}, {"label": "b", "value": "b"}]}
    inner = {"schema": {"on": {"label": "on", "type": "bool"}}, "flow": ["on"]}
    assert form.schema == {
        "plain": {"label": "plain", "type": "string", "help": "A text."},
        "mayBeNull": {"label": "mayBeNull", "type": "number"},
        "share": {"label": "share", "type": "number"},
        "choice": {"label": "choice", "type": "select", "props": options},
        "texts": {"label": "texts", "type": "array", "array": True, "format": None},
        "choices": {"label": "choices", "type": "select", "array": True, "props": options},
        "many": {"label": "many", "type": "array", "array": True, "format": "form", **inner},
        "one": {"label": "one", "type": "form", "collapsable": True, "collapsed": True, **inner},
        "byName": {"label": "byName", "type": "object"},
        "either": {"label": "either", "type": "any"},
        "anything": {"label": "anything", "type": "any"},
    }
    assert form.flow == list(form.schema)


def test_what_holds_itself_is_cut() -> None:
    form = form_of(Tree)
    assert form.schema["left"]["type"] == "any"
    assert form.schema["others"] == {
        "label": "others",
        "type": "array",
        "array": True,
        "format": None,
    }


def test_a_plugin_without_config_has_an_empty_form() -> None:
    assert (form_of(None).schema, form_of(None).flow) == ({}, [])
