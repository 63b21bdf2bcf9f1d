"""Events in Otoroshi's JSON: every key of the reference, and where each value comes from."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from oto_trio.telemetry.events.audit import Audit
from oto_trio.telemetry.events.gateway_event import NOT_KNOWN_MS, alert_events, gateway_event
from oto_trio.telemetry.events.identity import ENRICHMENT_KEYS, Instance, Snowflakes, enriched
from oto_trio.telemetry.events.records import Details, EventRecord, read_records

KEYS = [
    "@type",
    "@id",
    "@timestamp",
    "@callAt",
    "reqId",
    "parentReqId",
    "protocol",
    "to",
    "target",
    "url",
    "method",
    "from",
    "@env",
    "backendDuration",
    "duration",
    "requestStreamingDuration",
    "responseStreamingDuration",
    "backendResponseStreamingDuration",
    "overhead",
    "data",
    "status",
    "responseChunked",
    "headers",
    "headersOut",
    "identity",
    "gwError",
    "err",
    "@serviceId",
    "@service",
    "descriptor",
    "route",
    "matcheJwtVerifier",
    "@product",
    "remainingQuotas",
    "viz",
    "cbDuration",
    "overheadWoCb",
    "callAttempts",
    "clientCertChain",
    "userAgentInfo",
    "geolocationInfo",
    "extrasData",
    "otoroshiHeadersIn",
    "otoroshiHeadersOut",
    "extraInfos",
]
"""The keys of Otoroshi's GatewayEvent, in its order."""

IDENTITY = {
    "identityType": "APIKEY",
    "identity": "c",
    "label": "mobile",
    "metadata": {},
    "tags": [],
}
DETAILS: dict[str, Any] = {
    "request_id": "1989",
    "client": "198.51.100.7",
    "query": "a=1",
    "version": "1.1",
    "secured": True,
    "target_tls": False,
    "headers": ["Host", "api.test", "Otoroshi-Request-Id", "77"],
    "headers_in": ["Host", "b"],
    "headers_out": ["Server", "x"],
    "response_headers": ["Server", "x", "X-Added", "1"],
    "fields_left_out": 0,
    "backend_status": 418,
    "chunked": True,
    "head_out": 100,
    "route_name": "users",
    "route_metadata": '{"product":"shop"}',
    "message": None,
    "cause": None,
    "identity": msgspec.json.encode(IDENTITY).decode(),
    "extra": '{"k":1}',
    "alerts": [("RevokedApiKeyUsageAlert", '{"from":"1.2.3.4","@type":"no"}')],
    "quotas": '{"remainingCallsPerDay":3}',
    "client_certificates": ["QUJD"],
    "trace": ("t" * 32, "s" * 16, None, True),
}
RECORD: list[object] = [
    *(1000.25, 0.0125, 0.010, "192.0.2.1", "route_1", "192.0.2.9:80"),
    *("GET", "api.test", "/users", 200, 2, 7, 321, False, "1989", "c"),
]


def record(details: dict[str, Any] | None = None, *, base: list[object] = RECORD) -> EventRecord:
    told = DETAILS if details is None else DETAILS | details
    packed = msgspec.msgpack.encode([[*base, [told[name] for name in Details.__struct_fields__]]])
    (read,) = read_records(packed)
    return read


def ids() -> Snowflakes:
    return Snowflakes(lambda: 1_793_356_200_123)


def made(details: dict[str, Any] | None = None, *, base: list[object] = RECORD) -> dict[str, Any]:
    event = gateway_event(record(details, base=base), 1_700_000_000.0 - 1000, Instance(), ids())
    assert event is not None
    return event


def test_every_key_of_the_reference_is_there_in_its_order() -> None:
    assert list(made()) == KEYS


def test_values_come_from_the_record() -> None:
    event = made()
    assert event["@type"] == "GatewayEvent"
    assert event["@callAt"] == 1_700_000_000_250
    assert event["reqId"] == "1989"
    assert event["parentReqId"] == "77"
    assert event["protocol"] == "HTTP/1.1"
    assert event["to"] == {"scheme": "https", "host": "api.test", "uri": "/users?a=1"}
    assert event["target"] == {"scheme": "http", "host": "192.0.2.9:80", "uri": "/users?a=1"}
    assert event["url"] == "https://api.test/users?a=1"
    assert (event["duration"], event["backendDuration"], event["overhead"]) == (12, 10, 2)
    assert event["data"] == {"dataIn": 7, "dataOut": 221}
    assert event["status"] == 418
    assert event["extraInfos"]["clientStatus"] == 200
    assert event["responseChunked"] is True
    assert event["headers"][1] == {"key": "Otoroshi-Request-Id", "value": "77"}
    assert event["headersOut"] == [{"key": "Server", "value": "x"}]
    assert event["otoroshiHeadersIn"] == [{"key": "Host", "value": "b"}]
    assert event["otoroshiHeadersOut"][1] == {"key": "X-Added", "value": "1"}
    assert event["identity"] == IDENTITY
    assert event["viz"]["fromTo"] == "mobile###users"
    assert event["remainingQuotas"] == {"remainingCallsPerDay": 3}
    assert event["extrasData"] == {"k": 1}
    assert event["callAttempts"] == 2
    assert event["from"] == "198.51.100.7", "what a trusted proxy says"
    assert event["@product"] == "shop"
    assert event["route"] == {"id": "route_1", "name": "users", "metadata": {"product": "shop"}}
    assert event["clientCertChain"] == [
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    ]
    assert event["extraInfos"]["trace"]["traceId"] == "t" * 32
    assert (event["err"], event["gwError"]) == (False, None)


@pytest.mark.parametrize(
    "key",
    [
        *("descriptor", "matcheJwtVerifier", "userAgentInfo", "geolocationInfo"),
        *("requestStreamingDuration", "responseStreamingDuration"),
        *("backendResponseStreamingDuration", "cbDuration"),
    ],
)
def test_what_is_not_known_yet_says_so(key: str) -> None:
    assert made()[key] in (None, NOT_KNOWN_MS)


def test_a_refusal_says_why() -> None:
    base = [*RECORD[:9], 429, 0, 0, 300, True, "1990", None]
    details = {
        "backend_status": 0,
        "message": "too much",
        "cause": "errors.too.much",
        "identity": None,
    }
    event = made(details, base=base)
    assert (event["err"], event["gwError"], event["status"]) == (True, "too much", 429)
    assert event["extraInfos"]["cause"] == "errors.too.much"
    assert event["backendDuration"] == NOT_KNOWN_MS
    assert event["viz"]["from"] == "internet"


def test_a_record_without_details_has_no_event() -> None:
    (plain,) = read_records(msgspec.msgpack.encode([[*RECORD, None]]))
    assert gateway_event(plain, 0, Instance(), ids()) is None
    assert alert_events(plain, 0, Instance(), ids()) == []


def test_alerts_keep_their_own_fields_but_not_their_say_on_what_they_are() -> None:
    (alert,) = alert_events(record(), 0, Instance(env="dev"), ids())
    assert alert["@type"] == "AlertEvent"
    assert alert["alert"] == "RevokedApiKeyUsageAlert"
    assert alert["from"] == "1.2.3.4"
    assert alert["@env"] == "dev"
    assert set(alert) >= {"@id", "@timestamp", "@product", "@serviceId", "@service"}


def test_a_report_of_a_plugin_is_an_event_of_its_own() -> None:
    told = record({"alerts": [("ErrorRewriteReport", '{"error_id":"e"}')]})
    (event,) = alert_events(told, 0, Instance(), ids())
    assert (event["@type"], event["error_id"]) == ("ErrorRewriteReport", "e")
    assert "alert" not in event


def test_enrichment_adds_every_key() -> None:
    event = enriched({}, Instance(number=3))
    assert tuple(event) == ENRICHMENT_KEYS
    assert event["instance-number"] == 3
    assert event["cluster-mode"] == "Off"


def test_audit_events_have_otoroshis_shape() -> None:
    audit = Audit(Instance(), ids(), lambda: 5)
    event = audit.admin_api("CREATE_ROUTE", "m", caller="192.0.2.1", metadata={"id": "r"})
    assert (event["@type"], event["audit"], event["@timestamp"]) == (
        "AuditEvent",
        "AdminApiEvent",
        5,
    )
    assert set(event) == {
        *("@id", "@timestamp", "@type", "@product", "@serviceId", "@service", "@env"),
        *("audit", "user", "apiKey", "action", "from", "message", "metadata"),
    }
    alert = audit.alert("CertExpiredAlert", {"certificate": "c", "@type": "x"})
    assert (alert["@type"], alert["alert"], alert["certificate"]) == (
        "AlertEvent",
        "CertExpiredAlert",
        "c",
    )


def test_ids_are_different_numbers() -> None:
    maker = ids()
    made_ids = [maker.next() for _ in range(1000)]
    assert len(set(made_ids)) == 1000
    assert all(text.isdecimal() for text in made_ids)


@pytest.mark.parametrize(
    ("original", "route", "shown"),
    [
        ("shop", "shop-1", "shop"),
        ("shop", "shop~", "shop"),
        # Whoever writes a route writes its metadata too: they must not name another service.
        ("another", "shop-1", "shop-1"),
        ("", "shop-1", "shop-1"),
    ],
)
def test_routes_of_a_composition_have_its_id(original: str, route: str, shown: str) -> None:
    metadata = json.dumps({"otoroshi-core-original-route-id": original})
    base = [*RECORD[:4], route, *RECORD[5:]]
    event = made({"route_metadata": metadata}, base=base)
    assert (event["@serviceId"], event["route"]["id"]) == (shown, shown)
    (alert,) = alert_events(record({"route_metadata": metadata}, base=base), 0, Instance(), ids())
    assert alert["@serviceId"] == shown
