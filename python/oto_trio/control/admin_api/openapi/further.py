"""The operations beside those of the resources: keys of an owner, quotas, PKI, events, probes.

A path that is added to the API needs its description here; a test compares both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.about import THIS_NODE
from oto_trio.control.admin_api.openapi.about import about_operations
from oto_trio.control.admin_api.openapi.admins import admin_operations
from oto_trio.control.admin_api.openapi.history import history_operations
from oto_trio.control.admin_api.openapi.older import older_operations
from oto_trio.control.admin_api.openapi.parts import (
    ANY_OBJECT,
    TEXT,
    Operation,
    answered,
    array_of,
    entity_body,
    json_answer,
    listed,
    object_of,
    parameter,
    patch_body,
    raw_body,
    refusals,
    written,
)
from oto_trio.control.admin_api.openapi.whole import whole_operations
from oto_trio.control.admin_api.resources import API_KEYS, CERTIFICATES
from oto_trio.gateway.monitoring import PREFIX
from oto_trio.pki import CsrQuery
from oto_trio.pki.queries import LONGEST_MS, YEAR_MS, KeyQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.admin_api.openapi.components import Components
    from oto_trio.model.document import JsonObject

__all__ = ["further_operations"]

_YES_NO: Final[JsonObject] = {"type": "boolean"}
_COUNT: Final[JsonObject] = {"type": "integer", "minimum": 0}

_OWNERS: Final = {"groups": "group", "services": "service", "routes": "route"}
_WAIT: Final = tuple(map(parameter, ("wait", "timeout")))
_WRITE: Final = (*_WAIT, parameter("strict"))
_FORM: Final = tuple(map(parameter, ("pretty", "envelope")))
_PAGE: Final = tuple(map(parameter, ("page", "pageSize", "fields")))
_PEM: Final = ("application/x-pem-file", "text/plain")


def _make(  # noqa: PLR0913 (each part of an operation, by keyword)
    method: str,
    path: str,
    name: str,
    tag: str,
    summary: str,
    answers: JsonObject,
    *,
    parameters: tuple[JsonObject, ...] = (),
    body: JsonObject | None = None,
    description: str = "",
    is_open: bool = False,
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
        is_open=is_open,
    )


def _query(name: str, description: str, schema: JsonObject = TEXT) -> JsonObject:
    """Make a parameter of the query."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def further_operations(components: Components) -> Iterator[Operation]:
    """Describe every path that is not in the table of resources.

    Args:
        components: Has the schemas.
    """
    yield _catalogue()
    yield from about_operations()
    yield from whole_operations()
    yield from admin_operations()
    yield from history_operations()
    yield from _templates_and_bearers()
    for word, kind in _OWNERS.items():
        yield from _keys_of(word, kind, components)
    yield from older_operations(components)
    yield from _quotas()
    yield from _certificates(components)
    yield from _pki(components)
    yield from _events()
    yield from _probes()
    yield from _documents()


def _catalogue() -> Operation:
    """Describe the list of resources."""
    row = object_of("kind", "plural_name", "singular_name", "group", "version")
    schema = object_of("version", "resources", version=TEXT, resources=array_of(row))
    return _make(
        "GET",
        "/apis/entities",
        "list_resources",
        "Resources",
        "List the kinds of entities, with their JSON schemas",
        {"200": json_answer("The kinds.", _or_enveloped(schema)), **refusals()},
        parameters=(_query("schema", "`false` leaves the schemas out.", _YES_NO), *_FORM),
    )


def _or_enveloped(schema: JsonObject) -> JsonObject:
    """Allow the envelope around an answer."""
    return {"anyOf": [schema, {"$ref": "#/components/schemas/api.Envelope"}]}


# --------------------------------------------------------------------------------------- API keys


def _templates_and_bearers() -> Iterator[Operation]:
    """Describe the further ways to one API key."""
    tag = f"{API_KEYS.kind} (legacy)"
    yield _make(
        "GET",
        "/api/new/apikey",
        "legacy_new_apikey",
        tag,
        "A new API key to start from",
        {"200": json_answer("The template.", ANY_OBJECT), **refusals()},
        parameters=(_query("groupId", "Group it may call."), parameter("copied")),
    )
    bearers = object_of("bearer", bearer=TEXT, bearer_next=TEXT, bearer_new=TEXT)
    yield _make(
        "GET",
        "/api/apikeys/{key}/bearer",
        "legacy_bearer_of_apikey",
        tag,
        "The bearer of an API key",
        {"200": json_answer("The bearers.", _or_enveloped(bearers)), **refusals(404)},
        parameters=(_query("newSecret", "A secret to make `bearer_new` for."), *_FORM),
    )


def _keys_of(word: str, kind: str, components: Components) -> Iterator[Operation]:
    """Describe the keys of one kind of owner."""
    base = f"/api/{word}/{{owner}}/apikeys"
    tag = f"Keys of a {kind}"
    shown = components.of(API_KEYS.cls)
    sent = components.sent(API_KEYS)
    filters = tuple(
        _query(name, "One of the conditions that holds is enough.")
        for name in ("clientId", "name", "group", "enabled")
    )
    stored = written("What was stored.", shown)
    yield _make(
        "GET",
        base,
        f"legacy_list_apikeys_of_{kind}",
        tag,
        f"List the API keys that may call a {kind}",
        {"200": listed(shown, is_generic=False), **refusals(404)},
        parameters=(*filters, *_PAGE),
    )
    yield _make(
        "POST",
        base,
        f"legacy_create_apikey_of_{kind}",
        tag,
        f"Create an API key that may call a {kind}",
        {"201": stored, **refusals(404, body=True, write=True)},
        parameters=(*_WRITE, *_FORM),
        body=entity_body(sent),
        description="Client id and secret are made when they are left out.",
    )
    one = f"{base}/{{key}}"
    yield _make(
        "GET",
        one,
        f"legacy_get_apikey_of_{kind}",
        tag,
        f"Read an API key of a {kind}",
        {"200": answered("The key.", shown, is_generic=False), **refusals(404)},
        parameters=(parameter("fields"), *_FORM),
    )
    for method, verb, body in (
        ("PUT", "update", entity_body(sent)),
        ("PATCH", "patch", patch_body()),
    ):
        yield _make(
            method,
            one,
            f"legacy_{verb}_apikey_of_{kind}",
            tag,
            f"{verb.capitalize()} an API key of a {kind}",
            {"200": stored, **refusals(404, 409, body=True, write=True)},
            parameters=(*_WRITE, *_FORM),
            body=body,
        )
    done = object_of("deleted", deleted={"const": True})
    yield _make(
        "DELETE",
        one,
        f"legacy_delete_apikey_of_{kind}",
        tag,
        f"Delete an API key of a {kind}",
        {"200": written("It is gone.", done), **refusals(404, 409, write=True)},
        parameters=(*_WAIT, *_FORM),
    )


def _quotas() -> Iterator[Operation]:
    """Describe what is left of the quotas of a key."""
    schema = object_of(
        **{
            name: _COUNT
            for word, current in (
                ("Window", "throttlingCallsPerWindow"),
                ("Day", "currentCallsPerDay"),
                ("Month", "currentCallsPerMonth"),
            )
            for name in (f"authorizedCallsPer{word}", current, f"remainingCallsPer{word}")
        }
    )
    left = json_answer("What was used, and what is left.", _or_enveloped(schema))
    bases = {"/api/apikeys": "", **{f"/api/{w}/{{owner}}/apikeys": k for w, k in _OWNERS.items()}}
    for base, kind in bases.items():
        tag = f"Keys of a {kind}" if kind else f"{API_KEYS.kind} (legacy)"
        suffix = f"_of_{kind}" if kind else ""
        for method, verb, summary in (
            ("GET", "quotas", "What is left of the quotas of an API key"),
            ("DELETE", "reset_quotas", "Set the quotas of an API key back"),
        ):
            yield _make(
                method,
                f"{base}/{{key}}/quotas",
                f"legacy_{verb}_of_apikey{suffix}",
                tag,
                summary,
                {"200": left, **refusals(404)},
                parameters=_FORM,
            )


# ------------------------------------------------------------------------------------ certificates


def _certificates(components: Components) -> Iterator[Operation]:
    """Describe what only certificates have."""
    tag = f"{CERTIFICATES.kind} (legacy)"
    shown = components.of(CERTIFICATES.cls)
    yield _make(
        "POST",
        "/api/certificates/_bundle",
        "legacy_import_bundle",
        tag,
        "Keep a PEM text with a chain and its key",
        {"201": written("What was stored.", shown), **refusals(body=True, write=True)},
        parameters=(*_WAIT, *_FORM),
        body=raw_body("Certificates and a private key, as PEM.", *_PEM),
    )
    yield _make(
        "POST",
        "/api/certificates/{id}/_renew",
        "legacy_renew_certificate",
        tag,
        "Renew a certificate now, due or not",
        {"200": written("The new one.", shown), **refusals(404, 409, write=True)},
        parameters=(*_WAIT, *_FORM),
    )


def _pki(components: Components) -> Iterator[Operation]:
    """Describe the PKI."""
    tag = "PKI"
    made = written("The certificate, and its id as `certId`.", components.of(CERTIFICATES.cls))
    persist = _query("persist", "`false` makes it without keeping it.", _YES_NO)
    csr = raw_body("What is wanted.", "application/json", schema=components.of(CsrQuery))
    key = raw_body("What is wanted.", "application/json", schema=components.of(KeyQuery))
    for path, name, summary, body, missing in (
        ("keys", "make_key_pair", "Make a key pair, in a certificate of its own", key, ()),
        ("cas", "make_root_authority", "Make an authority that signs itself", csr, ()),
        ("cas/{ca}/cas", "make_authority", "Make an authority below another", csr, (404,)),
        ("cas/{ca}/certs", "issue_certificate", "Issue a certificate", csr, (404,)),
        ("certs", "make_self_signed", "Make a certificate that signs itself", csr, ()),
    ):
        yield _make(
            "POST",
            f"/api/pki/{path}",
            name,
            tag,
            summary,
            {"200": made, **refusals(*missing, body=True, write=True)},
            parameters=(persist, *_WAIT, *_FORM),
            body=body,
        )
    yield from _pki_without_keeping(components)


def _pki_without_keeping(components: Components) -> Iterator[Operation]:
    """Describe what the PKI answers, and PKCS#12."""
    tag = "PKI"
    csr = raw_body("What is wanted.", "application/json", schema=components.of(CsrQuery))
    pem = raw_body("A PEM text.", *_PEM)
    milliseconds: JsonObject = {
        "type": "integer",
        "minimum": 1000,
        "maximum": LONGEST_MS,
        "default": YEAR_MS,
    }
    request = object_of("csr", csr=TEXT, publicKey=TEXT, privateKey=TEXT)
    signed = object_of("cert", cert=TEXT, csr=TEXT, ca=TEXT)
    validity = object_of("valid", valid=_YES_NO)
    yield _make(
        "POST",
        "/api/pki/csrs",
        "make_signing_request",
        tag,
        "Make a key and a signing request; nothing is kept",
        {"200": json_answer("Both.", _or_enveloped(request)), **refusals(404, body=True)},
        parameters=(_query("ca", "An authority that must be there."), *_FORM),
        body=csr,
    )
    yield _make(
        "POST",
        "/api/pki/cas/{ca}/certs/_sign",
        "sign_request",
        tag,
        "Sign a request; nothing is kept",
        {"200": json_answer("The certificate.", _or_enveloped(signed)), **refusals(404, body=True)},
        parameters=(_query("duration", "How long it is valid, in ms.", milliseconds), *_FORM),
        body=pem,
    )
    yield _make(
        "POST",
        "/api/pki/certs/_letencrypt",
        "order_certificate",
        tag,
        "Order a certificate by ACME: always refused, it is not served yet",
        refusals(body=True),
        body=raw_body("Whose.", "application/json", schema=object_of(host=TEXT)),
    )
    yield _make(
        "POST",
        "/api/pki/certs/_p12",
        "import_pkcs12",
        tag,
        "Keep the key and the chain of a PKCS#12 file",
        {
            "200": written("It is kept.", object_of("done", done={"const": True})),
            **refusals(body=True, write=True),
        },
        parameters=(_query("password", "Password of the file."), *_WAIT, *_FORM),
        body=raw_body("The file.", "application/x-pkcs12", "application/octet-stream"),
    )
    yield _make(
        "POST",
        "/api/pki/certs/_valid",
        "check_certificate",
        tag,
        "Tell whether a certificate can be used",
        {"200": json_answer("Whether.", _or_enveloped(validity)), **refusals(body=True)},
        parameters=_FORM,
        body=raw_body("A PEM text, or a certificate's JSON.", *_PEM),
    )
    yield _make(
        "POST",
        "/api/pki/certs/_data",
        "read_certificate",
        tag,
        "Tell what a certificate says",
        {"200": json_answer("What it says.", ANY_OBJECT), **refusals(body=True)},
        parameters=_FORM,
        body=pem,
    )


# ------------------------------------------------------------------------------ events and probes


def _events() -> Iterator[Operation]:
    """Describe the latest events."""
    for word, name in (("audit", "audit events"), ("alert", "alerts")):
        listing = tuple(map(parameter, ("filter", "filtered", "page", "pageSize", "sorted")))
        yield _make(
            "GET",
            f"/api/{word}/events",
            f"list_{word}_events",
            "Events",
            f"List the latest {name}, newest first",
            {"200": listed(ANY_OBJECT, is_generic=False), **refusals()},
            parameters=(*listing, parameter("fields")),
        )


_PROBES: Final = {
    "health": ("Whether the gateway and its store are well", True),
    "live": ("Whether the process lives", False),
    "ready": ("Whether it takes connections", True),
    "startup": ("Whether the start is over", True),
}


def _probes() -> Iterator[Operation]:
    """Describe the probes and the metrics, at their places; below `THIS_NODE` they ask for an API key."""
    wrong = {"401": {"$ref": "#/components/responses/401"}}
    for start, place, is_open in (
        ("/", "", True),
        (PREFIX, "well_known_", True),
        (f"{THIS_NODE}/", "node_", False),
    ):
        keys = (parameter("accessKey"),) if is_open else ()
        failing = wrong if is_open else refusals()
        for name, (summary, can_fail) in _PROBES.items():
            if not is_open and name != "health":
                continue
            page: JsonObject = {"content": {"application/json": {"schema": ANY_OBJECT}}}
            answers: JsonObject = {"200": {**page, "description": "Yes."}}
            if can_fail:
                answers["503"] = {**page, "description": "No."}
            yield _make(
                "GET",
                f"{start}{name}",
                f"{place}{name}",
                "Monitoring",
                summary,
                {**answers, **failing},
                parameters=keys,
                is_open=is_open,
            )
        forms = ["json", "old_json", "old", "prometheus", "prom"]
        content: JsonObject = {
            "application/json": {"schema": {"type": ["array", "object"]}},
            "text/plain": {"schema": TEXT},
        }
        yield _make(
            "GET",
            f"{start}metrics",
            f"{place}metrics",
            "Monitoring",
            "The counters of the gateway",
            {"200": {"description": "The counters.", "content": content}, **failing},
            parameters=(
                *keys,
                _query("format", "How they are written.", {"type": "string", "enum": forms}),
                _query("filter", "Wildcard pattern of the names."),
            ),
            is_open=is_open,
        )


def _documents() -> Iterator[Operation]:
    """Describe this document, and the page that shows it."""
    document: JsonObject = {"application/json": {"schema": ANY_OBJECT}}
    yaml: JsonObject = {"application/yaml": {"schema": ANY_OBJECT}}
    page: JsonObject = {"text/html": {"schema": TEXT}}
    this, shows, part = "This document", "The page that shows this document", "A part of that page"
    for path, name, content, summary in (
        ("/apis/openapi.json", "openapi_json", document, this),
        ("/apis/openapi", "openapi", document, this),
        ("/apis/openapi.yaml", "openapi_yaml", yaml, this),
        ("/apis/openapi.yml", "openapi_yml", yaml, this),
        ("/api/openapi.json", "legacy_openapi_json", document, this),
        ("/docs", "docs", page, shows),
        ("/apis/openapi/ui", "openapi_page", page, shows),
        ("/api/openapi/ui", "legacy_openapi_page", page, shows),
        ("/docs/page.js", "docs_script", {"text/javascript": {"schema": TEXT}}, part),
        ("/docs/page.css", "docs_style", {"text/css": {"schema": TEXT}}, part),
    ):
        answers: JsonObject = {"200": {"description": f"{summary}.", "content": content}}
        yield _make("GET", path, name, "Documentation", summary, answers, is_open=True)
