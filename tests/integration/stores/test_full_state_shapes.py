"""Exports in the shapes that Otoroshi wrote over the years: taken as they are, and nothing of them lost.

The entities are made up; which keys there are, and how they are nested, is that of real exports of the years
1.4 (2018), 1.5 (2022) and 16 to 17 (2025, 2026).
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from oto_trio.control.checking import check_entity
from oto_trio.model.service_descriptor import ServiceDescriptor
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oto_trio.model.document import Document, JsonObject
    from oto_trio.model.errors import Problem

WHOLE = "/api/otoroshi.json"
REGISTRY = builtin_plugins()
PLACE = {"_loc": {"tenant": "default", "teams": ["default"]}}
HEAD = {"label": "Otoroshi export", "dateRaw": 1544428493877, "date": "2018-12-10 08:54:53"}
NOT_ENTITIES = {*HEAD, "stats"}
LOST = object()
HASH = "$2a$10$" + 53 * "x"

SERVICE: JsonObject = {
    "id": "old-service",
    "groupId": "default",
    "name": "old",
    "env": "prod",
    "domain": "oto.tools",
    "subdomain": "old",
    "targets": [{"host": "127.0.0.1:8081", "scheme": "http"}],
    "root": "/",
    "matchingRoot": None,
    "localHost": "localhost:8080",
    "redirectToLocal": False,
    "enabled": True,
    "privateApp": False,
    "enforceSecureCommunication": False,
    "secComVersion": 1,
    "publicPatterns": ["/.*"],
    "additionalHeaders": {"Host": "old.oto.tools"},
    "ipFiltering": {"whitelist": [], "blacklist": []},
    "api": {"exposeApi": False},
    "healthCheck": {"enabled": False, "url": "/"},
    "clientConfig": {"useCircuitBreaker": True, "retries": 1, "callTimeout": 30000},
    "canary": {"enabled": False, "traffic": 0.2, "targets": [], "root": "/"},
    "metadata": {},
}
KEY: JsonObject = {
    "clientId": "id-of-the-key",
    "clientSecret": "secret-of-the-key",
    "clientName": "a key",
    "enabled": True,
    "throttlingQuota": 1000,
    "dailyQuota": 10000000,
    "monthlyQuota": 10000000,
    "metadata": {},
}

OF_2018: JsonObject = {
    **HEAD,
    "stats": {"calls": 24, "dataIn": 7921, "dataOut": 90158},
    "config": {
        "lines": ["prod"],
        "limitConcurrentRequests": False,
        "maxHttp10ResponseSize": 4194304,
        "ipFiltering": {"whitelist": [], "blacklist": []},
        "analyticsWebhooks": [],
        "elasticReadsConfig": None,
        "mailGunSettings": None,
        "otoroshiId": "a-cluster",
    },
    "appConfig": {"actorsystems": {}},
    "admins": [],
    "simpleAdmins": [
        {"username": "a@test", "password": HASH, "label": "A", "createdAt": 1544428493877}
    ],
    "serviceGroups": [{"id": "default", "name": "default-group", "description": "The default"}],
    "apiKeys": [{**KEY, "authorizedGroup": "default"}],
    "serviceDescriptors": [SERVICE],
    "errorTemplates": [],
}

OF_2022: JsonObject = {
    **HEAD,
    "stats": {"calls": 1, "dataIn": 1, "dataOut": 1},
    "config": {"lines": ["prod"], "trustXForwarded": True, "otoroshiId": "a-cluster"},
    "serviceGroups": [{**PLACE, "id": "default", "name": "d", "tags": [], "metadata": {}}],
    "apiKeys": [
        {
            **PLACE,
            **KEY,
            "authorizedGroup": "default",
            "authorizedEntities": ["group_default", "route_a-route"],
            "constrainedServicesOnly": False,
            "restrictions": {"enabled": False, "allowLast": True, "allowed": []},
            "rotation": {"enabled": False, "rotationEvery": 744, "gracePeriod": 168},
            "validUntil": None,
        }
    ],
    "serviceDescriptors": [{**PLACE, **SERVICE, "groups": ["default"], "secComVersion": "V2"}],
    "tenants": [{"id": "default", "name": "D", "description": "", "metadata": {}}],
    "teams": [{"id": "default", "tenant": "default", "name": "D", "description": ""}],
    "routes": [
        {
            **PLACE,
            "id": "a-route",
            "name": "a route",
            "description": "",
            "tags": [],
            "metadata": {},
            "enabled": True,
            "debug_flow": False,
            "groups": ["default"],
            "frontend": {"domains": ["a.oto.tools"], "strip_path": True, "exact": False},
            "backend": {
                "targets": [{"id": "t", "hostname": "a.test", "port": 80, "tls": False}],
                "target_refs": [],
                "root": "/",
                "rewrite": False,
                "load_balancing": {"type": "RoundRobin"},
            },
            "backend_ref": None,
            "plugins": [
                {
                    "enabled": True,
                    "plugin": "cp:otoroshi.next.plugins.OverrideHost",
                    "include": [],
                    "exclude": [],
                    "config": {},
                    "plugin_index": {"transform_request": 0},
                }
            ],
        }
    ],
    "services": [],
    "backends": [],
    "targets": [],
}

OF_2025: JsonObject = {
    **OF_2022,
    "dataExporters": [],
    "routeCompositions": [],
    "wasmPlugins": [],
    "drafts": [
        {
            **PLACE,
            "id": "a-route",
            "name": "a route",
            "description": "",
            "content": {"enabled": False},
            "kind": "route",
            "tags": [],
            "metadata": {},
        }
    ],
    "extensions": {
        "otoroshi_extensions_httplisteners": {"http-listeners": []},
        "otoroshi_extensions_corazawaf": {"coraza-configs": []},
        "otoroshi_extensions_workflows": {
            "workflows": [
                {**PLACE, "id": "w", "name": "w", "description": "", "config": {"kind": "workflow"}}
            ]
        },
        "otoroshi_extensions_greenscore": {
            "green-scores": [{**PLACE, "id": "g", "name": "green", "description": "", "routes": []}]
        },
        "otoroshi_extensions_foo": {"foos": []},
    },
}


def check(entity: Document) -> list[Problem]:
    """Check an entity as the gateway does: a service is warned of only."""
    problems = check_entity(entity, REGISTRY, {})
    if isinstance(entity, ServiceDescriptor):
        return [msgspec.structs.replace(problem, severity="warning") for problem in problems]
    return problems


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving_admin_api(check=check) as api:
        yield api


def lost(was: object, now: object, path: str = "$") -> list[str]:
    """Name what an export had and the next one has not; lists by place."""
    if isinstance(was, dict) and isinstance(now, dict):
        there = cast("dict[str, object]", now)
        return [
            one
            for key, value in cast("dict[str, object]", was).items()
            for one in lost(value, there.get(key, LOST), f"{path}.{key}")
        ]
    if isinstance(was, list) and isinstance(now, list):
        pairs = zip_longest(cast("list[object]", was), cast("list[object]", now), fillvalue=LOST)
        return [one for place, (x, y) in enumerate(pairs) for one in lost(x, y, f"{path}[{place}]")]
    return [] if was == now else [path]


@pytest.mark.parametrize(
    ("export", "left_out", "otherwise"),
    [
        (OF_2018, "appConfig=1", {"$.appConfig", "$.serviceDescriptors[0].secComVersion"}),
        (
            OF_2022,
            None,
            # Empty, and of no kind that a later version has.
            {"$.services", "$.targets"},
        ),
        (
            OF_2025,
            None,
            {
                *("$.services", "$.targets"),
                "$.extensions.otoroshi_extensions_httplisteners",
                "$.extensions.otoroshi_extensions_corazawaf",
                "$.extensions.otoroshi_extensions_foo",
            },
        ),
    ],
    ids=["2018", "2022", "2025"],
)
async def test_an_export_of_its_time_is_taken_as_it_is(
    served: Served, export: JsonObject, left_out: str | None, otherwise: set[str]
) -> None:
    taken = await served.call("POST", WHOLE, export)
    assert (taken.status_code, taken.json()) == (200, {"done": True})
    assert taken.headers.get("Oto-Trio-Left-Out") == left_out
    first = (await served.call("GET", WHOLE)).json()
    was = {key: value for key, value in export.items() if key not in NOT_ENTITIES}
    assert set(lost(was, first)) == otherwise
    async with serving_admin_api(check=check) as empty:
        assert (await empty.call("POST", WHOLE, first)).status_code == 200
        again = (await empty.call("GET", WHOLE)).json()
    for key in NOT_ENTITIES:
        first.pop(key)
        again.pop(key)
    assert again == first


async def test_entities_of_extensions_are_served_wherever_an_export_has_them(
    served: Served,
) -> None:
    path = "/apis/plugins.otoroshi.io/v1/workflows"
    for place in ("otoroshi_extensions_workflows", "plugins.otoroshi.io"):
        workflow: JsonObject = {"id": "w", "name": place, "description": "", "config": {}}
        export: JsonObject = {"routes": [], "extensions": {place: {"workflows": [workflow]}}}
        assert (await served.call("POST", WHOLE, export)).json() == {"done": True}
        listed = (await served.call("GET", path)).json()
        assert [each["name"] for each in listed] == [place]
        written = (await served.call("GET", WHOLE)).json()["extensions"]
        assert list(written) == ["otoroshi_extensions_workflows"]
