"""Entities of Otoroshi's extensions in its JSON."""

from __future__ import annotations

from typing import Any

import pytest

from oto_trio.model.coraza_config import CorazaConfig, coraza_config_template
from oto_trio.model.document import Document, inspect_document, read_document, write_document
from oto_trio.model.green_score import GREEN_RULES, GreenScore, green_score_template
from oto_trio.model.http_listener import HttpListener, http_listener_template
from oto_trio.model.remote_catalog import RemoteCatalog, remote_catalog_template
from oto_trio.model.workflow import Workflow, workflow_template

LOC = ("_loc", {"tenant": "default", "teams": ["default"]})
BARE = {"id": "x", "name": "n", "description": "d"}
JOB = {
    "enabled": False,
    "kind": "ScheduledEvery",
    "instantiation": "OneInstancePerOtoroshiInstance",
    "initial_delay": None,
    "interval": None,
    "cron_expression": None,
}


def written(cls: type[Document], **keys: Any) -> dict[str, Any]:
    return write_document(read_document(cls, {**BARE, **keys}))


def test_a_bare_workflow() -> None:
    assert list(written(Workflow).items()) == [
        LOC,
        *BARE.items(),
        ("metadata", {}),
        ("tags", []),
        ("config", {}),
        ("test_payload", {"name": "foo"}),
        ("orphans", {"nodes": [], "edges": []}),
        ("job", {**JOB, "config": {}}),
        ("functions", {}),
        ("notes", []),
    ]


def test_a_bare_remote_catalog() -> None:
    shown = write_document(read_document(RemoteCatalog, {"id": "x", "name": "n"}))
    assert list(shown.items()) == [
        LOC,
        ("id", "x"),
        ("name", "n"),
        ("description", "--"),
        ("metadata", {}),
        ("tags", []),
        ("enabled", True),
        ("source_kind", "http"),
        ("source_config", {}),
        ("scheduling", {**JOB, "deploy_args": {}}),
        ("test_deploy_args", {}),
    ]


def test_a_bare_coraza_config() -> None:
    shown = write_document(read_document(CorazaConfig, {"id": "x"}))
    assert list(shown.items()) == [
        LOC,
        ("id", "x"),
        ("name", ""),
        ("description", ""),
        ("metadata", {}),
        ("tags", []),
        ("inspect_in_body", True),
        ("inspect_out_body", True),
        ("is_blocking_mode", True),
        ("include_owasp_crs", True),
        ("directives", []),
        ("pool_capacity", 2),
    ]


def test_a_bare_listener() -> None:
    assert written(HttpListener)["config"] == {
        "enabled": False,
        "exclusive": False,
        "tls": True,
        "http1": True,
        "http2": True,
        "h2c": False,
        "http3": False,
        "port": 7890,
        "exposedPort": 7890,
        "host": "0.0.0.0",
        "accessLog": False,
        "clientAuth": "None",
    }


@pytest.mark.parametrize(("given", "exposed"), [({}, 9000), ({"exposedPort": 443}, 443)])
def test_clients_see_the_port_itself_unless_another_is_given(
    given: dict[str, int], exposed: int
) -> None:
    assert written(HttpListener, config={"port": 9000, **given})["config"]["exposedPort"] == exposed


@pytest.mark.parametrize("key", ["port", "exposedPort"])
@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_that_is_none_is_refused(key: str, port: int) -> None:
    entity, problems = inspect_document(HttpListener, {**BARE, "config": {key: port}})
    assert entity is None
    assert [p.path for p in problems] == [f"$.config.{key}"]
    assert "must be at" in problems[0].message


def test_a_bare_green_score() -> None:
    time, data, headers = (
        dict(zip(("excellent", "sufficient", "poor"), bounds, strict=True))
        for bounds in ((5, 10, 15), (100, 500, 1000), (10, 30, 50))
    )
    shown = write_document(read_document(GreenScore, {"id": "x"}))
    assert list(shown.items()) == [
        LOC,
        ("id", "x"),
        ("name", ""),
        ("description", ""),
        ("metadata", {}),
        ("tags", []),
        ("routes", []),
        (
            "thresholds",
            {
                "overhead": time,
                "duration": time,
                "backendDuration": time,
                "calls": time,
                "dataIn": data,
                "dataOut": data,
                "headersOut": headers,
                "headersIn": headers,
            },
        ),
        ("efficiency", {"paths": []}),
    ]


def test_a_threshold_that_says_one_bound_has_the_others_of_its_measure() -> None:
    shown = written(GreenScore, thresholds={"dataIn": {"excellent": 1}})
    assert shown["thresholds"]["dataIn"] == {"excellent": 1, "sufficient": 500, "poor": 1000}


def test_the_routes_of_a_green_score_round_trip() -> None:
    states = [{"id": rule, "enabled": True} for rule in GREEN_RULES]
    routes = [{"routeId": "r", "rulesConfig": {"states": [{"date": 1, "states": states}]}}]
    assert written(GreenScore, routes=routes)["routes"] == routes


def test_there_are_as_many_green_rules_as_the_reference_names() -> None:
    assert len(GREEN_RULES) == 4 + 11 + 7 + 1
    assert {GREEN_RULES[0], GREEN_RULES[14], GREEN_RULES[-1]} == {"AR01", "DE11", "LO01"}


def test_the_templates() -> None:
    workflow, catalog = workflow_template(env="dev"), remote_catalog_template(env="dev")
    coraza, listener = coraza_config_template(env="dev"), http_listener_template(env="dev")
    score = green_score_template(env="dev")
    prefixes = ("workflow", "remote-catalog", "coraza-waf-config", "http-listener", "green-score")
    ids = (workflow.id, catalog.id, coraza.id, listener.id, score.id)
    for prefix, entity_id in zip(prefixes, ids, strict=True):
        assert entity_id.startswith(f"{prefix}_dev_")
    assert (workflow.config["id"], workflow.config["kind"]) == ("main", "workflow")
    assert [step["function"] for step in workflow.config["steps"]] == ["core.hello"]
    assert listener.config.enabled is True
    assert score.name == "green score group"
