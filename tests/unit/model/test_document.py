"""Reading and writing of entity documents, for every kind of entity alike."""

from __future__ import annotations

import copy
import time
import types
from contextlib import suppress
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from oto_trio.model.admin_session import AdminSession
from oto_trio.model.api import Api
from oto_trio.model.api_subscription import ApiSubscription
from oto_trio.model.auth_module import (
    BasicAuth,
    LdapAuth,
    OAuth1Auth,
    OAuth2Auth,
    SamlAuth,
    WasmAuth,
    WorkflowAuth,
)
from oto_trio.model.auth_module_user import AuthModuleUser
from oto_trio.model.backend import Backend
from oto_trio.model.coraza_config import CorazaConfig
from oto_trio.model.document import (
    Document,
    encode_document,
    inspect_document,
    read_document,
    write_document,
)
from oto_trio.model.draft import Draft
from oto_trio.model.error_template import ErrorTemplate
from oto_trio.model.errors import EntityError
from oto_trio.model.global_config import GlobalConfig
from oto_trio.model.green_score import GreenScore
from oto_trio.model.http_listener import HttpListener
from oto_trio.model.organization import Organization
from oto_trio.model.remote_catalog import RemoteCatalog
from oto_trio.model.route import Route, route_template
from oto_trio.model.route_composition import RouteComposition
from oto_trio.model.route_template import RouteTemplate
from oto_trio.model.script import Script
from oto_trio.model.service_descriptor import ServiceDescriptor
from oto_trio.model.service_group import ServiceGroup
from oto_trio.model.simple_admin import SimpleAdmin
from oto_trio.model.tcp_service import TcpService
from oto_trio.model.team import Team
from oto_trio.model.user_alert import UserAlert
from oto_trio.model.user_dashboard import UserDashboard
from oto_trio.model.wasm_plugin import WasmPlugin
from oto_trio.model.workflow import Workflow

ENTITIES: list[type[Document]] = [
    Route,
    Backend,
    GlobalConfig,
    BasicAuth,
    LdapAuth,
    OAuth1Auth,
    OAuth2Auth,
    SamlAuth,
    WasmAuth,
    WorkflowAuth,
    ServiceDescriptor,
    Script,
    WasmPlugin,
    Api,
    ApiSubscription,
    UserDashboard,
    UserAlert,
    Workflow,
    CorazaConfig,
    RemoteCatalog,
    HttpListener,
    GreenScore,
    RouteComposition,
    RouteTemplate,
    TcpService,
    ErrorTemplate,
    Draft,
    ServiceGroup,
    Organization,
    Team,
    SimpleAdmin,
    AdminSession,
    AuthModuleUser,
]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(min_value=-(2**53), max_value=2**53)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def bounded_values(meta: msgspec.Meta) -> st.SearchStrategy[Any] | None:
    """Values that keep the bounds of a field; None when it has none."""
    if meta.ge is not None:
        return st.integers(min_value=int(meta.ge), max_value=int(meta.le or 0))
    if meta.pattern:
        return st.from_regex(meta.pattern, fullmatch=True)
    if meta.min_length:
        return st.text(st.characters(codec="ascii"), min_size=1, max_size=8)
    return None


@cache
def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values that a field of this type may hold."""
    if hasattr(hint, "__metadata__"):
        bounded = [bounded_values(m) for m in hint.__metadata__ if isinstance(m, msgspec.Meta)]
        for values in bounded:
            if values is not None:
                return values
        return values_of(hint.__origin__)
    origin = get_origin(hint)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: texts,
        bool: st.booleans(),
        int: numbers,
        float: st.floats(allow_nan=False, allow_infinity=False),
        Any: json_values,
        type(None): st.none(),
    }
    if hint in simple:
        return simple[hint]
    if origin is Literal:
        return st.sampled_from(get_args(hint))
    if origin is dict:
        return st.dictionaries(texts, values_of(get_args(hint)[1]), max_size=3)
    if origin is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=2).map(tuple)
    if origin in (Union, types.UnionType):
        # UNSET is an absent key: `entities` leaves such fields out instead.
        return st.one_of([values_of(a) for a in get_args(hint) if a is not UnsetType])
    assert issubclass(hint, Document), hint
    return entities(hint)


@st.composite
def entities(draw: st.DrawFn, cls: type[Document]) -> Document:
    """Structs of a class, each field drawn or left to its default, with unknown keys at times."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(cls):
        if field.name == "unknown":
            continue
        if field.required or draw(st.booleans()):
            values[field.name] = draw(values_of(field.type))
    known = {field.encode_name for field in msgspec.structs.fields(cls)}
    # Short forms are expanded on reading, so they are not "unknown" keys.
    known |= {"domain", "url", "target", "target_url", "certId", "cert_id", "tls"}
    known |= {"serverUrl", "groupFilter", "plugin_chain", "raw_source"}
    unknown = draw(
        st.none() | st.dictionaries(texts.filter(lambda k: k not in known), json_values, max_size=2)
    )
    if unknown:
        values["unknown"] = unknown
    return cls(**values)


@pytest.mark.parametrize("cls", ENTITIES)
def test_what_was_written_reads_back_equal(cls: type[Document]) -> None:
    @given(entity=entities(cls))
    def check(entity: Document) -> None:
        written = write_document(entity)
        assert read_document(cls, written) == entity
        assert msgspec.json.decode(encode_document(entity)) == written

    check()


@pytest.mark.parametrize("cls", ENTITIES)
def test_both_ways_of_reading_agree(cls: type[Document]) -> None:
    """One unknown key forces the careful way; all other fields must come out the same."""

    @given(entity=entities(cls))
    def check(entity: Document) -> None:
        written = write_document(entity)
        fast = read_document(cls, written)
        careful = read_document(cls, {**written, "a key of tomorrow": 1})
        for name in cls.__struct_fields__:
            if name != "unknown":
                assert getattr(careful, name) == getattr(fast, name)
        assert isinstance(careful.unknown, dict)
        assert careful.unknown["a key of tomorrow"] == 1

    check()


@pytest.mark.parametrize("cls", ENTITIES)
@given(raw=json_values)
def test_any_json_is_an_entity_or_a_list_of_problems(cls: type[Document], raw: object) -> None:
    entity, problems = inspect_document(cls, raw)
    assert entity is not None or any(p.severity == "error" for p in problems)
    for problem in problems:
        assert problem.path.startswith("$")
        assert problem.fix


@pytest.mark.parametrize("cls", ENTITIES)
def test_damage_to_one_key_never_raises_anything_but_an_entity_error(cls: type[Document]) -> None:
    @given(entity=entities(cls), data=st.data(), junk=json_values)
    def check(entity: Document, data: st.DataObject, junk: object) -> None:
        written = write_document(entity)
        spot = written
        while True:
            key = data.draw(st.sampled_from(sorted(spot)))
            inner = spot[key]
            if isinstance(inner, dict) and inner and data.draw(st.booleans()):
                spot = inner
                continue
            spot[key] = junk
            break
        before = copy.deepcopy(written)
        with suppress(EntityError):
            read_document(cls, written)
        assert written == before, "reading must not change its input"

    check()


def test_unknown_keys_survive_at_every_level() -> None:
    raw = {
        "id": "r",
        "name": "r",
        "frontend": {"domains": ["a"], "f": 1},
        "backend": {
            "targets": [{"hostname": "h", "port": 1, "t": {"deep": [1]}}],
            "client": {"c": None},
            "b": 2,
        },
        "plugins": [{"plugin": "p", "q": True}],
        "top": "x",
    }
    written = write_document(read_document(Route, raw))
    assert written["top"] == "x"
    assert written["frontend"]["f"] == 1
    assert written["backend"]["b"] == 2
    assert written["backend"]["client"]["c"] is None
    assert written["backend"]["targets"][0]["t"] == {"deep": [1]}
    assert written["plugins"][0]["q"] is True
    assert list(written)[-1] == "top", "unknown keys come after the known ones"


def test_an_unknown_key_cannot_smuggle_a_known_one() -> None:
    raw = {"id": "r", "name": "r", "$unknown": {"enabled": False, "id": "other"}}
    route = read_document(Route, raw)
    written = write_document(route)
    assert written["id"] == "r"
    assert written["enabled"] is True
    assert read_document(Route, written) == route


def test_a_key_of_the_wrong_type_is_read_as_absent_with_a_warning() -> None:
    route, problems = inspect_document(
        Route,
        {
            "id": "r",
            "name": "r",
            "enabled": "yes",
            "metadata": {"a": 1},
            "groups": [1],
            "tags": {},
            "backend": {"client": {"retries": "3"}},
        },
    )
    assert route is not None
    assert route.enabled is True
    assert route.metadata == {}
    assert route.groups == ("default",)
    assert route.tags == ()
    assert route.backend.client.retries == 1
    assert {(p.path, p.severity) for p in problems} == {
        ("$.enabled", "warning"),
        ("$.metadata", "warning"),
        ("$.groups", "warning"),
        ("$.tags", "warning"),
        ("$.backend.client.retries", "warning"),
    }


def test_every_wrong_required_key_is_named_at_once() -> None:
    with pytest.raises(EntityError) as caught:
        read_document(
            Route,
            {
                "name": 3,
                "backend": {"targets": [{"port": 70000}, {"hostname": "h", "port": "80"}, 7]},
                "plugins": [{"config": {}}],
            },
        )
    found = {p.path: p.message for p in caught.value.problems}
    assert set(found) == {
        "$.id",
        "$.name",
        "$.backend.targets[0].hostname",
        "$.backend.targets[0].port",
        "$.backend.targets[1].port",
        "$.backend.targets[2]",
        "$.plugins[0].plugin",
    }
    assert found["$.id"] == "this key is required"
    assert found["$.name"] == "expected a text, found a whole number"
    assert "65535" in found["$.backend.targets[0].port"]
    assert "id of the route" in str(caught.value), "the fix explains the key"


def test_a_number_out_of_its_bounds_is_an_error_and_no_default() -> None:
    client = {"call_timeout": -5, "retries": 2**60}
    target = {"hostname": "", "port": 1, "weight": -1}
    with pytest.raises(EntityError) as caught:
        read_document(
            Route, {"id": "r", "name": "r", "backend": {"client": client, "targets": [target]}}
        )
    assert {p.path: p.message for p in caught.value.problems} == {
        "$.backend.client.call_timeout": "must be at least 0",
        "$.backend.client.retries": "must be at most 9007199254740992",
        "$.backend.targets[0].hostname": "must not be empty",
        "$.backend.targets[0].weight": "must be at least 0",
    }


def test_a_whole_number_written_with_a_fraction_reads_as_a_number() -> None:
    route = read_document(Route, {"id": "r", "name": "r", "backend": {"client": {"retries": 3.0}}})
    assert route.backend.client.retries == 3
    assert isinstance(route.backend.client.retries, int)


def test_null_means_absent_where_null_is_no_value() -> None:
    route = read_document(Route, {"id": "r", "name": "r", "description": None, "_loc": None})
    assert route.description == ""
    assert route.loc.tenant == "default"


@pytest.mark.slow
def test_a_hundred_thousand_routes_are_read_quickly() -> None:
    """The bound is generous for a slow machine; the aim is 25 µs of CPU a route."""
    document = write_document(route_template())
    started = time.thread_time()
    for _ in range(20_000):
        read_document(Route, document)
    assert (time.thread_time() - started) / 20_000 < 75e-6


def test_absent_is_not_null_for_optional_objects() -> None:
    written = write_document(route_template())
    assert "plugin_index" not in written["plugins"][0]
    assert read_document(Route, written).plugins[0].plugin_index is UNSET
