"""The rules of `oto-trio lint`: for each what it must find, and what it must leave alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from oto_trio.control.certificates import certificate_of
from oto_trio.control.documents import KINDS, Item, by_plural, item_of
from oto_trio.control.lint import IGNORE_KEY, RULES, SEVERITIES, Finding, Ground, run_rules
from oto_trio.control.lint import rules as rules_room
from oto_trio.control.lint.rules.certificate_expires_soon import SOON_DAYS
from oto_trio.model.certificate import write_certificate
from oto_trio.model.document import write_document
from oto_trio.pki import CsrQuery, KeyQuery, issue
from oto_trio.plugin_api.registry import Registry, discover

NOW = datetime(2031, 5, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
LONG = "n7Zk2tGq9VbXw4LrYp8sDf3h"
HASH = "$2b$10$" + 53 * "x"
PASSWORD = "correct horse battery"

Documents = dict[str, list[dict[str, Any]]]


def slot(name: str, *, enabled: bool = True, **config: Any) -> dict[str, Any]:
    return {"plugin": f"cp:otoroshi.next.plugins.{name}", "enabled": enabled, "config": config}


def route(
    name: str, domain: str | list[str], *slots: dict[str, Any], **more: Any
) -> dict[str, Any]:
    frontend = {"domains": [domain] if isinstance(domain, str) else domain}
    frontend |= more.pop("frontend", {})
    backend = {"targets": [{"hostname": "192.0.2.1", "port": 80}]}
    return {
        "id": name, "name": name, "frontend": frontend, "backend": backend, "plugins": list(slots), **more,
    }  # fmt: skip


def routes(*found: dict[str, Any], **more: Any) -> Documents:
    return {"routes": list(found), **more}


def key(**more: Any) -> Documents:
    usual = {"clientId": "c", "clientName": "client", "clientSecret": LONG}
    return {"apikeys": [{**usual, **more}]}


def verifier(secret: str = LONG * 2, **more: Any) -> dict[str, Any]:
    algorithm = {"type": "HSAlgoSettings", "size": 256, "secret": secret}
    usual: dict[str, Any] = {
        "id": "v", "name": "v", "strict": True,
        "source": {"type": "InHeader", "name": "Authorization"},
        "algoSettings": algorithm, "strategy": {"type": "PassThrough"},
    }  # fmt: skip
    return {**usual, **more}


def target(**tls: Any) -> Documents:
    one = {"hostname": "a.test", "port": 443, "tls": True, "tls_config": {"enabled": True, **tls}}
    return {"backends": [{"id": "b", "name": "b", "backend": {"targets": [one]}}]}


@cache
def _certificate(days: int) -> dict[str, Any]:
    query = CsrQuery(hosts=("a.test",), key=KeyQuery(algo="ecdsa", size=256), duration=86_400_000)
    start = NOW + timedelta(days=days - 1)
    return write_certificate(certificate_of(issue(query, None, now=start), query, id="cert"))


def certificate(days: int, **more: Any) -> Documents:
    """Make one that ends so many days after now."""
    return {"certificates": [{**_certificate(days), **more}]}


ADMIN = route("admin-api-service", "otoroshi-api.oto.tools")


def compositions(*domains: str, **more: Any) -> Documents:
    """Make one with a route for each domain."""
    inner: list[dict[str, Any]] = [
        {"frontend": {"domains": [domain]}, "backend": {"targets": []}, "plugins": [slot("Cors")]}
        for domain in domains
    ]
    return {"route-compositions": [{"id": "comp", "name": "comp", "routes": inner, **more}]}


def listeners(**config: Any) -> Documents:
    return {"http-listeners": [{"id": "l", "name": "l", "description": "", "config": config}]}


def services(**keys: Any) -> Documents:
    return {"service-descriptors": [{"id": "s", "domain": "a.test", "subdomain": "s", **keys}]}


def everywhere(*slots: dict[str, Any]) -> Documents:
    return {"global-configs": [{"plugins": {"config": {"ng": list(slots)}}}]}


APIKEYS = slot("ApikeyCalls")
BY_KEY = slot("NgCustomThrottling", expression="${apikey.id}")

CASES: dict[str, tuple[list[Documents], list[Documents]]] = {
    "document-invalid": (
        [
            {"routes": [{"id": "r"}]},
            routes(route("r", "a.test/:b/$x<(>")),
            routes(route("r", "a.test", backend_ref="gone")),
            routes(route("r", "a.test", slot("StaticResponse", status="no"))),
        ],
        [routes(route("r", "a.test")), routes(route("r", "a.test", slot("NoSuch")))],
    ),
    "route-unreachable": (
        [
            routes(route("a", "a.test/x"), route("b", "a.test/x")),
            routes(route("a", "a.test/:id"), route("b", "a.test/:name")),
            routes(
                route("a", "a.test", frontend={"methods": ["GET", "POST"]}),
                route("b", "a.test", frontend={"methods": ["GET"]}),
            ),
            routes(route("a", "a.test/$i<[0-9]+>"), route("b", "a.test/$j<[0-9]+>")),
        ],
        [
            routes(route("a", "a.test/x"), route("b", "a.test/y")),
            routes(route("a", "a.test/x"), route("b", "a.test")),
            routes(route("a", "a.test", frontend={"exact": True}), route("b", "a.test")),
            routes(route("a", "a.test", frontend={"methods": ["GET"]}), route("b", "a.test")),
            routes(route("a", "a.test"), route("b", "a.test", frontend={"headers": {"X": "Exists()"}})),
            routes(route("a", "a.test"), route("b", "a.test", frontend={"query": {"q": "Regex(a|b)"}})),
            routes(route("a", "a.test", enabled=False), route("b", "a.test")),
            routes(route("a", "a.test/$i<[0-9]+>"), route("b", "a.test/:name")),
            routes(route("a", ["a.test", "b.test"]), route("b", ["a.test", "c.test"])),
            routes(route("a", "*.a.test"), route("b", "*.b.a.test"), route("c", "c.a.test")),
            # The first one's key constraints leave it the requests of other keys.
            routes(
                route("a", "a.test", slot("ApikeyCalls", routing={"enabled": True, "oneTagIn": ["x"]})),
                route("b", "a.test"),
            ),
        ],
    ),
    "route-shadowed": (
        [routes(route("a", ["a.test", "b.test"]), route("b", ["a.test", "c.test"]))],
        [
            routes(route("a", ["a.test", "b.test"]), route("b", ["c.test", "d.test"])),
            routes(route("a", "a.test"), route("b", "a.test")),
        ],
    ),
    "route-disabled": (
        [routes(route("a", "a.test", enabled=False))],
        [routes(route("a", "a.test"))],
    ),
    "listener-missing": (
        [
            routes(route("a", "a.test", bound_listeners=["gone"])),
            routes(route("a", "a.test", slot("Cors") | {"bound_listeners": ["gone"]})),
            routes(route("a", "a.test", bound_listeners=["l"]), **listeners(enabled=False)),
        ],
        [
            routes(route("a", "a.test")),
            routes(route("a", "a.test", bound_listeners=["standard-listener"])),
            routes(route("a", "a.test", bound_listeners=["gone", "l"]), **listeners(enabled=True)),
            routes(
                route("a", "a.test", slot("Cors") | {"bound_listeners": ["l"]}),
                **listeners(enabled=True),
            ),
        ],
    ),
    "route-without-authentication": (
        [
            routes(route("a", "a.test")),
            routes(route("a", "a.test", slot("ApikeyCalls", enabled=False))),
            routes(route("a", "a.test", slot("ApikeyCalls", mandatory=False))),
            routes(route("a", "a.test", slot("IpAddressAllowedList", addresses=["192.0.2.1"]))),
            routes(route("a", "a.test", slot("JwtVerification", verifiers=[]))),
            routes(
                route("a", "a.test", slot("JwtVerification", verifiers=["v"])),
                **{"jwt-verifiers": [verifier(strict=False)]},
            ),
            routes(
                route("a", "a.test", slot("JwtVerificationOnly", verifier="v", fail_if_absent=False)),
                **{"jwt-verifiers": [verifier()]},
            ),
        ],
        [
            routes(route("a", "a.test", APIKEYS)),
            routes(route("a", "a.test"), **everywhere(APIKEYS)),
            routes(route("a", "a.test", slot("SimpleBasicAuth", users={}))),
            routes(
                route("a", "a.test", slot("JwtVerification", verifiers=["v"])),
                **{"jwt-verifiers": [verifier()]},
            ),
            routes(route("a", "a.test", slot("Redirection", to="https://b.test"))),
            routes(route("a", "a.test", enabled=False)),
            routes(route("a", "a.test", slot("NoSuch"))),
        ],
    ),
    "domain-overlap": (
        [routes(route("a", "api.*"), route("b", "*.example.com/x"))],
        [
            routes(route("a", "*.example.com"), route("b", "*.api.example.com")),
            routes(route("a", "*.example.com"), route("b", "*.example.org")),
            routes(route("a", "*"), route("b", "*.example.com"), route("c", "api.example.com")),
        ],
    ),
    "domain-catch-all": (
        [routes(route("a", "*")), routes(route("a", "*/x"))],
        [routes(route("a", "*.test")), routes(route("a", "*", enabled=False))],
    ),
    "route-takes-admin-host": (
        [
            routes(ADMIN, route("a", "otoroshi-api.oto.tools/api")),
            routes(ADMIN, route("a", "*.oto.tools", enabled=False)),
            {**routes(ADMIN), **services(hosts=["otoroshi-api.oto.tools"])},
            {**routes(ADMIN), **compositions("*/x")},
        ],
        [
            routes(ADMIN, route("a", "api.oto.tools")),
            routes(route("a", "otoroshi-api.oto.tools")),
            {**routes(ADMIN), **services(), **compositions("a.test")},
        ],
    ),
    "plugin-unknown": (
        [
            routes(route("a", "a.test", slot("NoSuch"))),
            routes(route("a", "a.test", slot("NoSuch", enabled=False))),
            everywhere(slot("NoSuch")),
        ],
        [routes(route("a", "a.test", APIKEYS))],
    ),
    "service-without-equivalent": (
        [
            services(clientValidatorRef="v"),
            services(gzip={"enabled": True}),
        ],
        [services(), services(cors={"enabled": True}), services(tcpUdpTunneling=True)],
    ),
    "plugin-disabled": (
        [routes(route("a", "a.test", slot("Cors", enabled=False)))],
        [routes(route("a", "a.test", slot("Cors")))],
    ),
    "order-cors-after-authentication": (
        [
            routes(route("a", "a.test", slot("ApikeyAuthModule"), slot("Cors"))),
            routes(route("a", "a.test", slot("Cors")), **everywhere(slot("ApikeyAuthModule"))),
            routes(
                route(
                    "a", "a.test", slot("Cors"),
                    {**slot("ApikeyAuthModule"), "plugin_index": {"pre_route": 1}},
                ),
            ),
        ],
        [
            routes(route("a", "a.test", slot("Cors"), slot("ApikeyAuthModule"))),
            routes(route("a", "a.test", APIKEYS, slot("Cors"))),  # acts in a later phase
        ],
    ),
    "order-check-before-caller": (
        [routes(route("a", "a.test", slot("NgApikeyMandatoryTags", tags=["x"]), APIKEYS))],
        [
            routes(route("a", "a.test", APIKEYS, slot("NgApikeyMandatoryTags", tags=["x"]))),
            routes(route("a", "a.test", slot("NgApikeyMandatoryTags", tags=["x"]))),
        ],
    ),
    "order-limit-before-caller": (
        [
            routes(route("a", "a.test", BY_KEY, APIKEYS)),
            routes(route("a", "a.test", slot("ApikeyQuotas"), APIKEYS)),
        ],
        [
            routes(route("a", "a.test", APIKEYS, BY_KEY)),
            routes(route("a", "a.test", slot("NgCustomThrottling", expression="${req.ip}"), APIKEYS)),
        ],
    ),
    "order-change-before-check": (
        [routes(route("a", "a.test", slot("QueryTransformer"), slot("NgLog4ShellFilter")))],
        [routes(route("a", "a.test", slot("NgLog4ShellFilter"), slot("QueryTransformer")))],
    ),
    "secret-in-clear": (
        [
            routes(route("a", "a.test", slot("BasicAuthCaller", username="u", password=PASSWORD))),
            routes(route("a", "a.test", slot("AdditionalHeadersIn", headers={"X": f"Bearer {LONG}"}))),
            routes(route("a", "a.test", slot("AdditionalHeadersIn", headers={"X": LONG})), **key()),
            routes(route("a", "a.test", description="see https://me:pass@b.test/")),
            routes(route("a", "a.test", metadata={"clientSecret": "x"})),
            {"admins": [{"username": "a", "password": "a password", "label": "A"}]},
            routes(route("a", "a.test", slot("HMACCaller", secret=LONG))),
            key(description=f"my bearer is otoapk_c_{'0' * 64}"),
        ],
        [
            {"admins": [{"username": "a", "password": HASH, "label": "A"}]},
            key(),
            certificate(100),
            {"jwt-verifiers": [verifier()]},
            routes(route("a", "a.test", slot("BasicAuthCaller", username="u", password="${vault://env/P}"))),
            routes(route("a", "a.test", metadata={"secret_name": "db", "token_header": "X-Token"})),
            routes(route("a", "a.test", description="see https://b.test:8443/@me")),
        ],
    ),
    "api-key-weak-secret": (
        [key(clientSecret="short"), key(clientSecret="admin-api-apikey-secret")],
        [key(), key(clientSecret="${vault://env/KEY}"), key(clientSecret="short", enabled=False)],
    ),
    "api-key-without-quota": ([key()], [key(dailyQuota=1000), key(enabled=False)]),
    "api-key-never-expires": (
        [key()],
        [key(validUntil=NOW_MS), key(rotation={"enabled": True}), key(enabled=False)],
    ),
    "verifier-weak-secret": (
        [
            {"jwt-verifiers": [verifier("secret")]},
            {"jwt-verifiers": [verifier("31 bytes, one too few for 256..")]},
            {
                "jwt-verifiers": [
                    verifier(strategy={
                        "type": "Sign",
                        "algoSettings": {"type": "HSAlgoSettings", "size": 512, "secret": LONG},
                    })
                ]
            },
        ],
        [
            {"jwt-verifiers": [verifier()]},
            {"jwt-verifiers": [verifier("${vault://env/KEY}")]},
            {"jwt-verifiers": [verifier(algoSettings={"type": "JWKSAlgoSettings", "url": "https://i.test"})]},
        ],
    ),
    "certificate-expired": (
        [certificate(-3), certificate(-3, to=NOW_MS * 2)],
        [certificate(3), certificate(-3, revoked=True), certificate(100, to=0)],
    ),
    "certificate-expires-soon": (
        [certificate(3), certificate(SOON_DAYS), certificate(3, autoRenew=True)],
        [certificate(-3), certificate(SOON_DAYS + 1), certificate(3, revoked=True)],
    ),
    "target-without-verification": (
        [
            target(loose=True),
            target(trust_all=True),
            routes(route("a", "a.test", backend=target(loose=True)["backends"][0]["backend"])),
        ],
        [target(), target(loose=True, enabled=False)],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


def ground(documents: Documents, registry: Registry) -> Ground:
    items: list[Item] = []
    for plural, found in documents.items():
        resource = by_plural(plural)
        assert resource is not None, plural
        items += [item_of(resource, raw, f"{plural}[{i}]") for i, raw in enumerate(found)]
    return Ground(items, registry, now_ms=NOW_MS)


def found(documents: Documents, registry: Registry, *ignored: str) -> list[Finding]:
    return run_rules(ground(documents, registry), ignored)


def _numbered(place: int) -> list[Any]:
    return [
        pytest.param(code, documents, id=f"{code}-{index}")
        for code, cases in CASES.items()
        for index, documents in enumerate(cases[place])
    ]


def test_every_rule_has_examples_of_what_it_finds_and_of_what_it_leaves() -> None:
    assert {rule.code for rule in RULES} == CASES.keys()
    assert all(positive and negative for positive, negative in CASES.values())


def test_every_file_of_the_room_is_in_the_table() -> None:
    files = {path.stem for path in Path(rules_room.__path__[0]).glob("[a-z]*.py")}
    assert files == {rule.code.replace("-", "_") for rule in RULES}
    assert len({rule.code for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(("code", "documents"), _numbered(0))
def test_a_rule_finds(code: str, documents: Documents, registry: Registry) -> None:
    findings = [finding for finding in found(documents, registry) if finding.code == code]
    assert findings
    for finding in findings:
        assert finding.field.startswith("$")
        assert finding.why
        assert finding.fix
        assert finding.severity in SEVERITIES
        for secret in (LONG, PASSWORD, "me:pass"):
            assert secret not in finding.why + finding.fix + finding.field
    assert code not in {finding.code for finding in found(documents, registry, code)}


@pytest.mark.parametrize(("code", "documents"), _numbered(1))
def test_a_rule_leaves_alone(code: str, documents: Documents, registry: Registry) -> None:
    assert code not in {finding.code for finding in found(documents, registry)}


def test_a_finding_says_who_takes_the_requests(registry: Registry) -> None:
    documents = routes(route("b", "a.test"), route("a", "a.test"), route("c", "c.test", APIKEYS))
    (finding,) = [f for f in found(documents, registry) if f.code == "route-unreachable"]
    # A worker that starts gets routes by id, whatever the order of the file.
    assert (finding.id, finding.severity) == ("b", "error")
    assert "route a" in finding.why


def test_what_services_and_compositions_become_is_looked_at_too(registry: Registry) -> None:
    documents = {
        **routes(route("a", ["a.test", "s.a.test"]), route("comp-1", "c.test")),
        **services(hosts=["s.a.test"]),
        **compositions("b.test", "a.test", plugins=[slot("NoSuch")]),
    }
    findings = found(documents, registry)
    lost = {(f.kind, f.id, f.field): f.why for f in findings if f.code == "route-unreachable"}
    # The engine's router takes the first of two ids that declare the same.
    composed = ("route-compositions", "comp", "$.routes[1].frontend.domains")
    service = ("service-descriptors", "s", "$.hosts")
    assert set(lost) == {composed, service}
    assert "as route comp-1~: no request reaches" in lost[composed], (
        "its id belongs to a stored one"
    )
    assert "goes to route a" in lost[service]
    (unknown,) = {(f.kind, f.id, f.field) for f in findings if f.code == "plugin-unknown"}
    assert unknown == ("route-compositions", "comp", "$.plugins[0].plugin")
    documents |= compositions("b.test")
    naked = {
        (f.kind, f.id, f.field)
        for f in found(documents, registry)
        if f.code == "route-without-authentication"
    }
    assert ("route-compositions", "comp", "$.routes[0].plugins") in naked
    spared = {IGNORE_KEY: "route-without-authentication"}
    documents |= compositions("b.test", metadata=spared)
    findings = found(documents, registry)
    naked_now = {f.id for f in findings if f.code == "route-without-authentication"}
    assert "comp" not in naked_now


def test_an_entity_can_be_spared_a_rule(registry: Registry) -> None:
    code = "route-without-authentication"
    spared = route("a", "a.test", metadata={IGNORE_KEY: f"x, {code}"})
    findings = found(routes(spared, route("b", "b.test")), registry)
    assert [finding.id for finding in findings if finding.code == code] == ["b"]


def test_a_slot_of_every_route_is_told_of_once(registry: Registry) -> None:
    documents = routes(
        route("a", "a.test"),
        route("b", "b.test"),
        **everywhere(slot("ApikeyAuthModule"), slot("Cors")),
    )
    code = "order-cors-after-authentication"
    assert [f.kind for f in found(documents, registry) if f.code == code] == ["global-configs"]


def test_the_worst_comes_first(registry: Registry) -> None:
    documents = routes(route("a", "a.test"), route("b", "a.test"), **key(clientSecret="short"))
    severities = [SEVERITIES.index(finding.severity) for finding in found(documents, registry)]
    assert severities == sorted(severities)
    assert set(severities) == {0, 1, 2}


@pytest.mark.parametrize("resource", KINDS, ids=lambda resource: resource.plural)
def test_the_template_of_every_kind_can_be_linted(resource: Any, registry: Registry) -> None:

    assert resource.template is not None
    item = item_of(resource, write_document(resource.template("prod")), "template")
    assert item.entity is not None
    run_rules(Ground([item], registry, now_ms=NOW_MS))
