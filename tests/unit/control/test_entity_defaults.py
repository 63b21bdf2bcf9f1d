"""Every key of every kind of entity with its default: what becomes of a document that says only what it must."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from oto_trio.control.admin_api.resources import RESOURCES
from oto_trio.model.document import UNKNOWN_KEY, inspect_document, write_document
from tests.unit.control.further_defaults import FURTHER
from tests.unit.control.routing_defaults import ANY, FRONTEND, ROUTING, SCRIPTS

MINIMAL: Final = {**ROUTING, **FURTHER}


def test_every_kind_is_in_the_table() -> None:
    assert set(MINIMAL) == {resource.kind for resource in RESOURCES}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_what_a_document_leaves_out_has_otoroshis_default(resource: Any) -> None:
    least, full = MINIMAL[resource.kind]
    entity, problems = inspect_document(resource.cls, least)
    assert entity is not None, problems
    written = write_document(entity)
    compared = {key: value for key, value in written.items() if full.get(key) is not ANY}
    assert compared == {key: value for key, value in full.items() if value is not ANY}
    assert written.keys() == full.keys()


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_a_document_without_one_of_its_required_keys_is_refused(resource: Any) -> None:
    least, _ = MINIMAL[resource.kind]
    cls = resource.cls.variant(least)
    required = {
        f.encode_name
        for f in msgspec.structs.fields(cls)
        if f.required and f.encode_name != UNKNOWN_KEY
    }
    assert required <= least.keys()
    for key in required - {"type"}:
        rest = {name: value for name, value in least.items() if name != key}
        assert inspect_document(resource.cls, rest)[0] is None, key


LEGACY: Final[dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]] = {
    # kind: an older form of some keys, and how they are written
    "Route": [
        (
            {"frontend": {"domain": "a.test"}},
            {"frontend": {**FRONTEND, "domains": ["a.test"]}},
        )
    ],
    "Apikey": [
        ({"authorizedGroup": "g"}, {"authorizedEntities": ["group_g"], "authorizedGroup": "g"}),
        ({"authorizedEntities": ["g"]}, {"authorizedEntities": ["group_g"]}),
        (
            {"authorizations": [{"kind": "route", "id": "r"}]},
            {"authorizedEntities": ["route_r"]},
        ),
    ],
    "ServiceDescriptor": [
        ({"groupId": "g"}, {"groups": ["g"]}),
        ({"tcpTunneling": True}, {"tcpUdpTunneling": True}),
        ({"secComVersion": 2}, {"secComVersion": "V2"}),
        ({"accessValidator": {"ref": "a"}}, {"accessValidator": {**SCRIPTS, "refs": ["a"]}}),
    ],
    "AuthModule": [({"type": "oauth2-global"}, {"type": "oauth2"})],
    "WasmPlugin": [],
}


@pytest.mark.parametrize(
    ("kind", "older", "now"),
    [(kind, older, now) for kind, rows in LEGACY.items() for older, now in rows],
)
def test_older_forms_are_read(kind: str, older: dict[str, Any], now: dict[str, Any]) -> None:
    (resource,) = [resource for resource in RESOURCES if resource.kind == kind]
    least, _ = MINIMAL[kind]
    entity, problems = inspect_document(resource.cls, {**least, **older})
    assert entity is not None, problems
    written = write_document(entity)
    assert {key: written[key] for key in now} == now
