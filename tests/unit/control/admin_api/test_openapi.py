"""The OpenAPI document: valid, and saying what is served, no more and no less."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Match, Route

from oto_trio.control.admin_api import build_app
from oto_trio.control.admin_api.bulk import MOST_PARALLEL
from oto_trio.control.admin_api.openapi import openapi_document
from oto_trio.control.admin_api.openapi.components import Components
from oto_trio.control.admin_api.openapi.document import all_operations, served_verbs
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES, RESOURCES, Resource
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.store import MemoryStore
from oto_trio.model.document import write_document
from oto_trio.testing.fake_gateway import FakeGatewayControl

if TYPE_CHECKING:
    from starlette.applications import Starlette


class Anything:
    """Stands in for what is only asked once a request comes."""

    def __getattr__(self, name: str) -> Any:
        return Anything()


def full_app() -> Starlette:
    """Every path there is: nothing that can be left out is."""
    anything: Any = Anything()
    return build_app(
        MemoryStore(), [DEV_CREDENTIALS], FakeGatewayControl(), limits=anything, trail=anything
    )


@pytest.fixture(scope="module")
def app() -> Starlette:
    return full_app()


@pytest.fixture(scope="module")
def document(app: Starlette) -> dict[str, Any]:
    # As clients get it: decoded from text, no part of it shared.
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(openapi_document(app.routes)))
    return decoded


def operations_of(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, verb.upper(), operation)
        for path, item in document["paths"].items()
        for verb, operation in item.items()
        if verb != "parameters"
    ]


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_served_route_is_described(app: Starlette) -> None:
    described = {(o.served_by, o.method) for o in all_operations(Components(LEGACY_RESOURCES))}
    missing = sorted(served_verbs(app.routes) - described)
    assert missing == [], "describe them in oto_trio/control/admin_api/openapi/further.py"


def test_every_described_operation_is_served(app: Starlette) -> None:
    served = served_verbs(app.routes)
    operations = list(all_operations(Components(LEGACY_RESOURCES)))
    left_out = [
        (o.method, o.served_by) for o in operations if (o.served_by, o.method) not in served
    ]
    assert left_out == []


def test_the_route_that_answers_is_the_one_described(app: Starlette) -> None:
    for operation in all_operations(Components(LEGACY_RESOURCES)):
        scope = {
            "type": "http",
            "method": operation.method,
            "path": re.sub(r"\{\w+\}", "x1", operation.path),
            "headers": [],
        }
        routes = [route for route in app.routes if isinstance(route, Route)]
        first = next(route for route in routes if route.matches(scope)[0] is Match.FULL)
        template = re.sub(r":\w+\}", "}", first.path)
        assert template == operation.served_by, (operation.method, operation.path)


def test_what_is_not_served_is_left_out() -> None:
    app = build_app(MemoryStore(), [DEV_CREDENTIALS], FakeGatewayControl())
    document = openapi_document(app.routes)
    assert "/api/apikeys/{key}/quotas" not in document["paths"]
    assert "/api/audit/events" not in document["paths"]
    assert "/api/apikeys/{key}/bearer" in document["paths"]


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations_of(document)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9_]+", one) for one in ids)


def test_only_probes_and_documentation_need_no_key(document: dict[str, Any]) -> None:
    open_tags = {o["tags"][0] for _, _, o in operations_of(document) if o.get("security") == []}
    assert open_tags == {"Login", "Monitoring", "Documentation"}
    assert {"basic": []} in document["security"]
    assert {"clientId": [], "clientSecret": []} in document["security"]


def test_every_operation_tells_how_a_wrong_key_is_refused(document: dict[str, Any]) -> None:
    for path, verb, operation in operations_of(document):
        if operation.get("security") != []:
            assert {"400", "401", "503"} <= operation["responses"].keys(), (verb, path)


def test_every_reference_leads_somewhere_and_every_component_is_used(
    document: dict[str, Any],
) -> None:
    text = msgspec.json.encode(document).decode()
    pointed = set(re.findall(r'"\$ref":"#/components/(\w+/[^"]+)"', text))
    there = {
        f"{section}/{name}"
        for section, parts in document["components"].items()
        for name in parts
        if section != "securitySchemes"
    }
    assert pointed == there


TEMPLATED = [resource for resource in LEGACY_RESOURCES if resource.template is not None]


@pytest.mark.parametrize("resource", TEMPLATED, ids=lambda r: r.kind)
def test_the_template_of_a_resource_fits_its_schema(
    resource: Resource, document: dict[str, Any]
) -> None:
    assert resource.template is not None
    written = write_document(resource.template("prod"))
    for suffix in ("", ".Input"):
        schema = {
            "$ref": f"#/components/schemas/{resource.cls.__name__}{suffix}",
            "components": document["components"],
        }
        found = [error.message for error in OAS31Validator(schema).iter_errors(written)]
        assert found == []


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.kind)
def test_a_resource_has_what_its_row_says(resource: Resource, document: dict[str, Any]) -> None:
    base = f"/apis/{resource.group}/v1/{resource.plural}"
    verbs = {(path, verb) for path, verb, _ in operations_of(document)}
    creates, updates, deletes = (a in resource.actions for a in ("create", "update", "delete"))
    one = f"{base}/{{id}}"
    assert {(base, "GET"), (one, "GET")} <= verbs
    assert ((base, "POST") in verbs) is creates
    assert ((one, "POST") in verbs) is (creates or updates)
    assert ((one, "PUT") in verbs) is ((one, "PATCH") in verbs) is updates
    assert ((one, "DELETE") in verbs) is ((base, "DELETE") in verbs) is deletes
    assert ((f"{base}/_bulk", "POST") in verbs) is creates
    assert ((f"{base}/_bulk", "DELETE") in verbs) is deletes
    assert ((f"{base}/_bulk", "PUT") in verbs) is (updates and resource.only_id is None)
    assert ((f"{base}/_template", "GET") in verbs) is (resource.template is not None)


def test_a_new_entity_needs_no_id_and_an_answer_has_one(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "id" in schemas["Route"]["required"]
    assert "id" not in schemas["Route.Input"]["required"]
    assert "clientId" not in schemas["ApiKey.Input"]["required"]


def test_meanings_of_keys_are_there(document: dict[str, Any]) -> None:
    properties = document["components"]["schemas"]["Frontend"]["properties"]
    assert properties["exact"]["description"] == "take the path exactly, not as a prefix"
    assert "$unknown" not in msgspec.json.encode(document).decode()


def test_bounds_are_those_of_the_code(document: dict[str, Any]) -> None:
    parameters = document["components"]["parameters"]
    assert parameters["group"]["schema"]["maximum"] == MOST_PARALLEL
    assert parameters["timeout"]["schema"]["maximum"] == 60_000
