"""Would an entity work?"""

from typing import Any

import msgspec
import pytest

from oto_trio.control.checking import check_engine_settings, check_entity
from oto_trio.model.backend import read_backend
from oto_trio.model.document import Document, read_document
from oto_trio.model.errors import Problem
from oto_trio.model.global_config import read_global_config
from oto_trio.model.http_listener import HttpListener
from oto_trio.model.jwt_verifier import read_jwt_verifier
from oto_trio.model.route import read_route
from oto_trio.model.route_composition import RouteComposition
from oto_trio.model.service_descriptor import ServiceDescriptor
from oto_trio.model.tcp_service import TcpService
from oto_trio.plugin_api.registry import builtin_plugins

REGISTRY = builtin_plugins()
BACKEND = read_backend(
    {"id": "k", "name": "k", "backend": {"targets": [{"hostname": "h", "port": 80}]}}
)


def check(entity: Document) -> list[Problem]:
    return check_entity(entity, REGISTRY, {"k": BACKEND})


def route(**more: Any) -> Document:
    return read_route({"id": "a", "name": "a", "frontend": {"domains": ["a.test"]}, **more})


def tcp_service(**more: Any) -> Document:
    rules = [{"domain": "*", "targets": [{"host": "h", "port": 80}]}]
    about = {"id": "t", "name": "t", "description": "", "port": 81, "enabled": True, "rules": rules}
    return read_document(TcpService, {**about, **more})


def http_listener(**config: Any) -> Document:
    about = {"id": "l", "name": "l", "description": "", "config": {"enabled": True, **config}}
    return read_document(HttpListener, about)


def test_what_works_has_no_problems() -> None:
    assert check(route(backend_ref="k")) == []
    assert check(tcp_service(interface="[::1]", settings={"allowed": ["10.*", "::/0"]})) == []
    assert check(http_listener(host="::")) == []
    assert check(http_listener(enabled=False, http1=False, tls=False)) == []
    assert check(BACKEND) == []
    assert check(read_global_config({})) == []
    assert check(Document()) == []


@pytest.mark.parametrize(
    ("entity", "path", "words"),
    [
        (route(plugins=[{"plugin": "cp:no.such"}]), "$.plugins[0].plugin", "no plugin cp:no.such"),
        (
            route(
                plugins=[
                    {
                        "plugin": "cp:otoroshi.next.plugins.Redirection",
                        "config": {"code": "often"},
                    }
                ]
            ),
            "$.plugins[0].config.code",
            "",
        ),
        (route(backend_ref="lost"), "$.backend_ref", "no backend lost"),
        (route(frontend={"domains": ["a.test/$x<(>"]}), "$.frontend.domains[0]", "(>"),
        (
            read_global_config({"plugins": {"config": {"ng": [{"plugin": "cp:no.such"}]}}}),
            "$.plugins.config.ng[0].plugin",
            "no plugin cp:no.such",
        ),
        (
            read_global_config(
                {
                    "plugins": {
                        "config": {
                            "incoming_request_validators": [
                                {"plugin": "cp:otoroshi.next.plugins.BuildMode"}
                            ]
                        }
                    }
                }
            ),
            "$.plugins.config.incoming_request_validators[0].plugin",
            "BuildMode cannot look at a request before there is a route",
        ),
        (
            read_global_config({"ipFiltering": {"blacklist": ["10.0.0.7", "10.0.0"]}}),
            "$.ipFiltering.blacklist[1]",
            "'10.0.0' is no address",
        ),
        (tcp_service(settings={"allowed": ["10.*", "999.1.1.1"]}), "$.settings.allowed[1]", "999"),
        (tcp_service(settings={"blocked": ["10.0.0.0/77"]}), "$.settings.blocked[0]", "/77"),
        (
            tcp_service(settings={"proxyProtocol": {"trusted": ["x.y"]}}),
            "$.settings.proxyProtocol.trusted[0]",
            "'x.y' is no address",
        ),
        (tcp_service(interface="nowhere"), "$.interface", "'nowhere' is no address to listen on"),
        (tcp_service(rules=[]), "$.rules", "there is no target"),
        (tcp_service(enabled=False, rules=[]), "$.rules", "there is no target"),
        (http_listener(host="localhost"), "$.config.host", "'localhost' is no address"),
        (http_listener(tls=False, http1=False), "$.config.http1", "nothing is spoken"),
    ],
)
def test_what_does_not_work_is_told_with_its_path(entity: Document, path: str, words: str) -> None:
    problems = check(entity)
    assert [problem.path for problem in problems] == [path]
    assert words in problems[0].message
    assert problems[0].fix


@pytest.mark.parametrize(
    "entity",
    [
        tcp_service(interface="localhost"),
        tcp_service(interface="", enabled=False),
        http_listener(host="localhost"),
        http_listener(tls=False, http1=False),
    ],
)
def test_a_port_that_otoroshi_would_take_is_no_error(entity: Document) -> None:
    assert [problem.severity for problem in check(entity)] == ["warning"]


@pytest.mark.parametrize(
    ("target", "field"),
    [({"hostname": "a b"}, "hostname"), ({"hostname": "h", "ip_address": "nope"}, "ip_address")],
)
def test_a_backend_that_the_engine_refuses_is_told_with_its_own_path(
    target: dict[str, Any], field: str
) -> None:
    backend = {"targets": [{"port": 80, **target}]}
    for entity in (
        read_backend({"id": "k", "name": "k", "backend": backend}),
        route(backend=backend),
    ):
        (problem,) = check(entity)
        assert problem.path == f"$.backend.targets[0].{field}"
        assert problem.message.startswith("must be ")


def test_engine_settings_are_judged_by_the_engine() -> None:
    assert check_engine_settings(b"{}") is None
    assert "head_bites" in (check_engine_settings(b'{"head_bites": 1}') or "")
    assert check_engine_settings(b'{"head_bytes": "many"}') is not None


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("head_timeout_s", -1, "head_timeout_s must be more than 0"),
        ("max_connections", 0, "max_connections must be more than 0"),
        ("linger_s", -0.5, "linger_s must be at least 0"),
        ("linger_s", 0, None),
        ("head_timeout_s", 0.1, None),
    ],
)
def test_engine_settings_that_would_serve_nobody_are_refused(
    key: str, value: float, words: str | None
) -> None:
    told = check_engine_settings(msgspec.json.encode({key: value}))
    assert told is None if words is None else words in (told or "")


@pytest.mark.parametrize(
    ("parts", "path", "words"),
    [
        (
            {"algoSettings": {"type": "RSAlgoSettings", "size": 256, "publicKey": "x"}},
            "$.algoSettings.publicKey",
            "base64",
        ),
        (
            {"source": {"type": "InHeader", "name": "X-T", "remove": "(?=x)"}},
            "$.source.remove",
            "pattern",
        ),
    ],
)
def test_a_verifier_that_the_engine_cannot_use_is_refused_with_field_and_fix(
    parts: dict[str, Any], path: str, words: str
) -> None:
    document = {
        "id": "v",
        "name": "v",
        "source": {"type": "InHeader", "name": "X-T"},
        "algoSettings": {"type": "HSAlgoSettings", "size": 256, "secret": "s"},
        "strategy": {"type": "PassThrough"},
    }
    assert check(read_jwt_verifier(document)) == []
    (problem,) = check(read_jwt_verifier({**document, **parts}))
    assert problem.path == path
    assert words in problem.message
    assert problem.fix


def service(**keys: Any) -> Document:
    bare = {"id": "s", "domain": "a.test", "subdomain": "s", **keys}
    return read_document(ServiceDescriptor, bare)


def composition(*routes: dict[str, Any], **more: Any) -> Document:
    document = {"id": "c", "name": "c", "routes": list(routes), **more}
    return read_document(RouteComposition, document)


def part(**more: Any) -> dict[str, Any]:
    return {"frontend": {"domains": ["a.test"]}, **more}


def test_services_and_compositions_that_work_have_no_problems() -> None:
    assert check(service(cors={"enabled": True}, publicPatterns=["/.*"])) == []
    assert check(composition(part(backend_ref="k"))) == []


@pytest.mark.parametrize(
    ("entity", "path", "severity"),
    [
        (service(clientValidatorRef="v"), "$.clientValidatorRef", "error"),
        (service(gzip={"enabled": True}), "$.gzip", "warning"),
        (service(privateApp=True, authConfigRef="m"), "$.authConfigRef", "error"),
        (service(publicPatterns=["("]), "$", "error"),
        (service(hosts=["h/$x<(>"]), "$.hosts", "error"),
        (service(secComInfoTokenVersion="Url"), "$.sendInfoToken", "error"),
        (composition(part(plugins=[{"plugin": "cp:x"}])), "$.routes[0].plugins[0].plugin", "error"),
        (composition(part(), part(), plugins=[{"plugin": "cp:x"}]), "$.plugins[0].plugin", "error"),
        (composition(part(backend_ref="no")), "$.routes[0].backend_ref", "warning"),
        # A disabled one is looked at too: it may be enabled.
        (
            composition(part(plugins=[{"plugin": "cp:x"}]), enabled=False),
            "$.routes[0].plugins[0].plugin",
            "error",
        ),
    ],
)
def test_what_is_wrong_with_a_service_or_a_composition_is_told_where_it_stands(
    entity: Document, path: str, severity: str
) -> None:
    assert [(p.path, p.severity) for p in check(entity)] == [(path, severity)]
