"""The older operations: parts of a service, lines, templates under other names, and parts that are not here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.absent import ANALYTICS, CLUSTER, TUNNELS
from oto_trio.control.admin_api.older_templates import STORED_OVER
from oto_trio.control.admin_api.openapi.parts import (
    ANY_OBJECT,
    TEXT,
    Operation,
    array_of,
    entity_body,
    json_answer,
    listed,
    object_of,
    parameter,
    raw_body,
    reference,
    refusals,
    written,
)
from oto_trio.control.admin_api.resources import (
    ERROR_TEMPLATES,
    LEGACY_RESOURCES,
    ROUTES,
    SERVICE_DESCRIPTORS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.admin_api.openapi.components import Components
    from oto_trio.model.document import JsonObject

__all__ = ["older_operations"]

_WRITE: Final = tuple(map(parameter, ("wait", "timeout", "strict", "pretty", "envelope")))
_FORM: Final = tuple(map(parameter, ("pretty", "envelope")))
_PAGE: Final = tuple(map(parameter, ("page", "pageSize", "fields")))
_TAG: Final = f"{SERVICE_DESCRIPTORS.kind} (legacy)"
_JSON: Final = "application/json"


def _make(  # noqa: PLR0913 (each part of an operation, by keyword)
    method: str,
    path: str,
    name: str,
    summary: str,
    answers: JsonObject,
    *,
    tag: str = _TAG,
    parameters: tuple[JsonObject, ...] = _FORM,
    body: JsonObject | None = None,
    description: str = "",
) -> Operation:
    """Make an operation whose path the document and the server name alike."""
    return Operation(
        method=method,
        path=path,
        served_by=path,
        id=name,
        tag=tag,
        summary=summary,
        answers=answers,
        parameters=parameters,
        body=body,
        description=description,
        is_open=False,
    )


def _enveloped(schema: JsonObject) -> JsonObject:
    """Allow the envelope around an answer."""
    return {"anyOf": [schema, reference("api.Envelope")]}


def older_operations(components: Components) -> Iterator[Operation]:
    """Describe the older paths.

    Args:
        components: Has the schemas.
    """
    yield from _targets()
    yield from _error_pages(components)
    yield from _as_route(components)
    yield from _found(components)
    yield from _templates(components)
    yield from _live()
    yield from _absent()


def _live() -> Iterator[Operation]:
    """Describe the live numbers."""
    names = ("calls", "dataIn", "dataOut", "rate", "duration", "overhead")
    names_of_rates = ("dataInRate", "dataOutRate")
    number: JsonObject = {"type": "number", "minimum": 0}
    schema = object_of(
        *names,
        *names_of_rates,
        "concurrentHandledRequests",
        concurrentHandledRequests=number,
        **dict.fromkeys((*names, *names_of_rates), number),
    )
    answers = {"200": json_answer("The numbers.", _enveloped(schema)), **refusals(404)}
    one = "Live numbers of the routes that an entity means"
    for path, name, told in (
        ("/api/live", "live_numbers", "Live numbers of the whole gateway"),
        ("/api/live/{id}", "live_numbers_of", f"{one}; of the whole gateway with the id `global`"),
        ("/api/services/{id}/live", "live_numbers_of_service", one),
    ):
        yield _make(
            "GET",
            path,
            name,
            told,
            answers,
            tag="Monitoring",
            description="With `every`, in ms, a stream of server-sent events that does not end.",
        )


def _targets() -> Iterator[Operation]:
    """Describe the targets of a service."""
    path = "/api/services/{service}/targets"
    addresses = array_of(TEXT)
    yield _make(
        "GET",
        path,
        "legacy_targets_of_service",
        "List the targets of a service, as `scheme://host`",
        {"200": listed(TEXT, is_generic=False), **refusals(404)},
        parameters=_PAGE,
    )
    one = raw_body("The target.", _JSON, schema=object_of("target", target=TEXT))
    patch = raw_body(
        "A JSON Patch (RFC 6902) of the list.",
        _JSON,
        schema=array_of(reference("api.JsonPatchOperation")),
    )
    for method, verb, summary, body in (
        ("POST", "add_target_to", "Add a target to a service", one),
        ("DELETE", "remove_target_of", "Remove a target of a service", one),
        ("PATCH", "patch_targets_of", "Patch the list of targets of a service", patch),
    ):
        yield _make(
            method,
            path,
            f"legacy_{verb}_service",
            summary,
            {
                "200": written("All targets then.", addresses),
                **refusals(404, 409, body=True, write=True),
            },
            parameters=_WRITE,
            body=body,
        )


def _error_pages(components: Components) -> Iterator[Operation]:
    """Describe the error template of a service."""
    path = "/api/services/{service}/template"
    shown, sent = components.of(ERROR_TEMPLATES.cls), components.sent(ERROR_TEMPLATES)
    yield _make(
        "GET",
        path,
        "legacy_template_of_service",
        "Read the error template of a service",
        {"200": json_answer("The template.", _enveloped(shown)), **refusals(404)},
    )
    for method, verb in (("POST", "create"), ("PUT", "update")):
        yield _make(
            method,
            path,
            f"legacy_{verb}_template_of_service",
            f"{verb.capitalize()} the error template of a service",
            {
                "200": written("What was stored.", shown),
                **refusals(404, 409, body=True, write=True),
            },
            parameters=_WRITE,
            body=entity_body(sent),
        )
    done = object_of("done", done={"const": True})
    yield _make(
        "DELETE",
        path,
        "legacy_delete_template_of_service",
        "Delete the error template of a service",
        {"200": written("It is gone.", done), **refusals(404, 409, write=True)},
        parameters=_WRITE,
    )


def _as_route(components: Components) -> Iterator[Operation]:
    """Describe the route that a service means."""
    path = "/api/services/{service}/route"
    route = components.of(ROUTES.cls)
    yield _make(
        "GET",
        path,
        "legacy_route_of_service",
        "Show the route that a service means",
        {"200": json_answer("The route.", _enveloped(route)), **refusals(404)},
    )
    yield _make(
        "POST",
        path,
        "legacy_service_becomes_route",
        "Keep the route that a service means, and disable the service",
        {
            "200": written("The route, and where it is.", ANY_OBJECT),
            **refusals(404, 409, write=True),
        },
        parameters=_WRITE,
        description="Refused when the service asks for what no plugin does.",
    )


def _found(components: Components) -> Iterator[Operation]:
    """Describe what finds services, and routes."""
    service = components.of(SERVICE_DESCRIPTORS.cls)
    for path, name, summary, schema, statuses in (
        ("/api/lines", "legacy_lines", "List the lines of services", TEXT, ()),
        (
            "/api/lines/{line}/services",
            "legacy_services_of_line",
            "List the services of a line",
            service,
            (),
        ),
        (
            "/api/groups/{group}/services",
            "legacy_services_of_group",
            "List the services of a group",
            service,
            (404,),
        ),
    ):
        answers = {"200": listed(schema, is_generic=False), **refusals(*statuses)}
        yield _make("GET", path, name, summary, answers, parameters=_PAGE)
    yield _make(
        "GET",
        "/api/entities/{entity}/{id}",
        "legacy_users_of_entity",
        "List the routes whose plugins use a JWT verifier",
        {"200": json_answer("The routes; of other entities nothing.", ANY_OBJECT), **refusals()},
    )


def _templates(components: Components) -> Iterator[Operation]:
    """Describe templates under their older names."""
    tag = "Templates (legacy)"
    template = json_answer("The template.", ANY_OBJECT)
    for path, what in (
        ("/api/new/service", "service"),
        ("/api/new/tcp/service", "tcp_service"),
        ("/api/new/group", "group"),
    ):
        yield _make(
            "GET",
            path,
            f"legacy_new_{what}",
            f"A new {what.replace('_', ' ')} to start from",
            {"200": template, **refusals()},
            tag=tag,
            parameters=(parameter("copied"), *_FORM),
        )
    rows = {row.legacy_path: row for row in LEGACY_RESOURCES}
    for word in STORED_OVER:
        row = rows[f"/api/{word}"]
        yield _make(
            "POST",
            f"/api/{word}/_template",
            f"legacy_create_from_template_{row.plural.replace('-', '_')}",
            f"Store a {row.kind}: the template, with the body laid over it",
            {
                "201": written("What was stored.", components.of(row.cls)),
                **refusals(body=True, write=True),
            },
            tag=tag,
            parameters=_WRITE,
            body=raw_body("Some keys of the entity.", _JSON, schema=ANY_OBJECT),
        )
    yield _make(
        "POST",
        "/api/new/resources",
        "legacy_new_resources",
        "Lay documents over the templates of their kinds; nothing is stored",
        {"200": json_answer("What was made.", ANY_OBJECT), **refusals(body=True)},
        tag=tag,
        body=raw_body(
            "One document, a list of them, or YAML with `---` between them.",
            _JSON,
            schema=object_of("content", content={}),
        ),
    )
    types = object_of("templates", templates=array_of(object_of(type=TEXT, label=TEXT)))
    yield _make(
        "GET",
        "/api/auths/templates",
        "legacy_auth_module_types",
        "List the types of auth modules",
        {"200": json_answer("The types.", _enveloped(types)), **refusals()},
        tag=tag,
    )


def _absent() -> Iterator[Operation]:
    """Describe what is not here, and says so."""
    unread: JsonObject = {
        "501": {"description": "The configuration names an Elasticsearch; it is not read here."}
    }
    for table, tag, summary, more in (
        (CLUSTER, "Cluster", "Only in a cluster: answers that there is none", {}),
        (TUNNELS, "Tunnels", "Only with tunnels: answers that there are none", {}),
        (ANALYTICS, "Analytics", "Needs Elasticsearch: answers that none is read", unread),
    ):
        for path, verbs in table.items():
            words = path.replace("{", "").replace("}", "").split("/")[1:]
            for verb in verbs:
                yield _make(
                    verb,
                    path,
                    f"{verb.lower()}_{'_'.join(words).replace('-', '_')}",
                    summary,
                    {**refusals(404), **more},
                    tag=tag,
                )
