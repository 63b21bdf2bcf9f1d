"""The plugins about client certificates, over TLS connections whose clients show some."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from oto_trio.gateway.compile import Hooks, RouteCompiler
from oto_trio.model.route import read_route
from oto_trio.plugin_api.registry import builtin_plugins
from tests.conformance.http1.messages import ResponseReader
from tests.conformance.http1.upstream import Recorder, Upstream
from tests.conformance.tls.secure import (
    SecureGateway,
    authority,
    ca_certificate,
    certificate,
    client_context,
    connect,
    secured,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import trustme

    from tests.conformance.http1.messages import RequestSeen, ResponseSeen

NO_CONFIG: dict[str, Any] = {}
NG = "cp:otoroshi.next.plugins."
TLS = {"client_auth": "Want", "system_cas_for_clients": False, "strict": True}


@cache
def leaf() -> trustme.LeafCert:
    """A client's certificate from an intermediate authority, which the client sends too."""
    return authority().create_child_ca().issue_cert("jo@a.test", common_name="jo")


@cache
def shown() -> tuple[x509.Certificate, ...]:
    """What the client sends, read without the engine: its own certificate first."""
    return tuple(x509.load_pem_x509_certificate(pem.bytes()) for pem in leaf().cert_chain_pems)


def der(one: x509.Certificate) -> str:
    return base64.b64encode(one.public_bytes(Encoding.DER)).decode()


def name(of: x509.Name) -> str:
    """The name as Otoroshi writes it: OU, O, CN."""
    kinds = (("OU", "2.5.4.11"), ("O", "2.5.4.10"), ("CN", "2.5.4.3"))
    parts = [
        f"{short}={value.value!s}"
        for short, oid in kinds
        for value in of.get_attributes_for_oid(x509.ObjectIdentifier(oid))
    ]
    return ", ".join(parts)


def key_document(**metadata: str) -> bytes:
    document = {"clientId": "c", "clientSecret": "s", "clientName": "n", "metadata": metadata}
    allowed = [{"kind": "route", "id": "r1"}]
    return json.dumps({**document, "authorizations": allowed}).encode()


@asynccontextmanager
async def fronted(
    *plugins: tuple[str, dict[str, Any]], apikey: bytes | None = None, client_id: str = "c"
) -> AsyncGenerator[tuple[SecureGateway, Recorder]]:
    """Run a TLS gateway that wants client certificates, with these plugins on its route."""
    upstream = await Upstream.open()
    recorder = Recorder(upstream)
    document = {
        "id": "r1",
        "name": "r1",
        "frontend": {"domains": ["a.test"]},
        "backend": {"targets": [{"hostname": "127.0.0.1", "port": upstream.port}]},
        "plugins": [{"plugin": NG + plugin, "config": config} for plugin, config in plugins],
    }
    lowered = RouteCompiler(builtin_plugins(), Hooks()).compile(read_route(document), {})
    assert lowered.problems == ()
    assert b'"kind":"python"' not in lowered.document
    async with (
        secured(
            lowered.document,
            tls=TLS,
            certificates={"one": certificate("a.test"), "ca": ca_certificate(authority())},
            entities=[] if apikey is None else [("apikeys", client_id, apikey)],
        ) as gateway,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(recorder.run)
        yield gateway, recorder
        nursery.cancel_scope.cancel()
    await upstream.close()


async def ask(
    gateway: SecureGateway,
    headers: dict[str, str] | None = None,
    *,
    shows: bool = True,
    context: ssl.SSLContext | None = None,
) -> ResponseSeen:
    """Make one handshake and one request."""
    context = context or client_context(shows=leaf() if shows else None)
    stream = await connect(gateway.port, context=context)
    lines = "".join(f"{key}: {value}\r\n" for key, value in (headers or {}).items())
    await stream.send_all(f"GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n".encode())
    reader = ResponseReader()
    while not reader.feed(bytes(await stream.receive_some())):
        pass
    await stream.aclose()
    return reader.seen


def field_of(request: RequestSeen, key: str) -> str:
    (value,) = request.values(key.lower().encode())
    return value.decode()


async def test_only_a_client_with_a_certificate_gets_in() -> None:
    async with fronted(("NgHasClientCertValidator", NO_CONFIG)) as (gateway, recorder):
        assert (await ask(gateway)).status == 200
        refused = await ask(gateway, shows=False)
    assert refused.status == 403
    assert refused.values(b"otoroshi-error-msg") == [b"forbidden"]
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    ("field", "value_of"),
    [
        ("serial_numbers", lambda: f"{shown()[0].serial_number:x}"),
        ("serial_numbers", lambda: f"{shown()[1].serial_number:x}"),
        ("subject_dns", lambda: name(shown()[0].subject)),
        ("subject_dns", lambda: "*CN=jo"),
        ("issuer_dns", lambda: name(shown()[0].issuer)),
        ("regex_subject_dns", lambda: ".*CN=jo"),
        ("regex_issuer_dns", lambda: "OU=.*, O=.*"),
    ],
)
async def test_a_list_lets_the_clients_it_names_in(field: str, value_of: Any) -> None:
    plugin = "NgHasClientCertMatchingValidator"
    async with fronted((plugin, {field: ["unmatched", value_of()]})) as (gateway, _):
        assert (await ask(gateway)).status == 200
        assert (await ask(gateway, shows=False)).status == 403
    async with fronted((plugin, {field: ["unmatched"], "mandatory": False})) as (gateway, _):
        assert (await ask(gateway)).status == 403
        assert (await ask(gateway, shows=False)).status == 200


@pytest.mark.parametrize(
    ("field", "value_of"),
    [
        ("serial_numbers", lambda: f"{shown()[0].serial_number:x}"),
        ("subject_dns", lambda: name(shown()[0].subject)),
        ("regex_subject_dns", lambda: ".*CN=jo"),
    ],
)
async def test_a_certificate_that_is_only_sent_along_lets_nobody_in(
    field: str, value_of: Any, tmp_path: Path
) -> None:
    """Anybody may know the certificate of another client, and append it to a chain of their own."""
    own = authority().create_child_ca().issue_cert("al@a.test", common_name="al")
    context = client_context()
    chain = tmp_path / "chain.pem"
    borrowed = leaf().cert_chain_pems
    chain.write_bytes(
        b"".join(blob.bytes() for blob in (own.private_key_pem, *own.cert_chain_pems, *borrowed))
    )
    context.load_cert_chain(chain)
    plugins = (
        ("NgHasClientCertMatchingValidator", {field: [value_of()]}),
        ("NgClientCertChainHeader", {"send_chain": True}),
    )
    async with fronted(*plugins) as (gateway, recorder):
        assert (await ask(gateway)).status == 200
        assert (await ask(gateway, context=context)).status == 403
    async with fronted(plugins[1]) as (gateway, recorder):
        assert (await ask(gateway, context=context)).status == 200
    told = json.loads(field_of(recorder.requests[0], "X-Client-Cert-Chain"))
    own_names = [x509.load_pem_x509_certificate(pem.bytes()) for pem in own.cert_chain_pems]
    assert [f"{one.serial_number:x}" for one in own_names] == [one["serialNumber"] for one in told]


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ({"allowed-client-cert-dn": "*CN=jo"}, 200),
        ({"allowed-client-cert-dn": "*CN=joe"}, 403),
        ({}, 403),
    ],
)
async def test_a_key_is_bound_to_a_certificate(metadata: dict[str, str], status: int) -> None:
    plugins = (("ApikeyCalls", NO_CONFIG), ("NgHasClientCertMatchingApikeyValidator", NO_CONFIG))
    sent = {"Otoroshi-Client-Id": "c", "Otoroshi-Client-Secret": "s"}
    async with fronted(*plugins, apikey=key_document(**metadata)) as (gateway, recorder):
        assert (await ask(gateway, sent)).status == status
        assert (await ask(gateway, sent, shows=False)).status == 403
    assert len(recorder.requests) == (status == 200)


async def test_a_certificate_counts_as_an_api_key() -> None:
    own = {"tags": ["partner"], "daily_quota": 2}
    plugins = (
        ("NgCertificateAsApikey", own),
        ("ApikeyCalls", NO_CONFIG),
        ("NgApikeyMandatoryTags", {"tags": ["partner"]}),
        ("ApikeyQuotas", NO_CONFIG),
        ("AdditionalHeadersIn", {"headers": {"X-Caller": "${apikey.id}"}}),
    )
    subject, serial = name(shown()[0].subject), shown()[0].serial_number
    client_id = base64.b64encode(f"{subject}-{serial}".encode()).decode()
    async with fronted(*plugins) as (gateway, recorder):
        assert [(await ask(gateway)).status for _ in range(2)] == [200, 200]
        refused = await ask(gateway, shows=False)
        assert refused.status == 400
        assert refused.values(b"otoroshi-error-msg") == [b"no apikey"]
    assert [field_of(request, "X-Caller") for request in recorder.requests] == [client_id] * 2
    # A stored key that is disabled, or another organization's, ends it.
    document = {"clientId": client_id, "clientSecret": "s", "clientName": "n", "tags": ["partner"]}
    foreign = {"_loc": {"tenant": "other", "teams": []}}
    for more, status in (({}, 200), ({"enabled": False}, 400), (foreign, 400)):
        stored = json.dumps({**document, **more}).encode()
        async with fronted(*plugins, apikey=stored, client_id=client_id) as (gateway, _):
            assert (await ask(gateway)).status == status


async def test_the_backend_is_told_of_the_certificate_and_never_of_a_claimed_one() -> None:
    config = {"send_pem": True, "send_dns": True, "send_chain": True}
    plugins = (("NgClientCertChainHeader", config), ("NgRfc9440ClientCertHeader", NO_CONFIG))
    claims = (
        "X-Client-Cert-Pem",
        "X-Client-Cert-DNs",
        "X-Client-Cert-Chain",
        "Client-Cert",
        "Client-Cert-Chain",
    )
    claimed: dict[str, str] = dict.fromkeys(claims, "mine")
    async with fronted(*plugins) as (gateway, recorder):
        assert (await ask(gateway, claimed)).status == 200
        assert (await ask(gateway, claimed, shows=False)).status == 200
    told, untold = recorder.requests
    for claim in claims:
        assert untold.values(claim.lower().encode()) == []
    own, intermediate = shown()
    assert field_of(told, "Client-Cert") == f":{der(own)}:"
    assert field_of(told, "Client-Cert-Chain") == f":{der(intermediate)}:"
    assert field_of(told, "X-Client-Cert-Pem") == ",".join(
        f"-----BEGIN CERTIFICATE----- {der(one)} -----END CERTIFICATE-----" for one in shown()
    )
    names = [name(one.subject) for one in shown()]
    assert json.loads(field_of(told, "X-Client-Cert-DNs")) == names
    facts = json.loads(field_of(told, "X-Client-Cert-Chain"))
    assert [fact["subjectDN"] for fact in facts] == names
    assert [fact["issuerDN"] for fact in facts] == [name(one.issuer) for one in shown()]
    assert [fact["serialNumber"] for fact in facts] == [f"{it.serial_number:x}" for it in shown()]
    ends = [int(one.not_valid_after_utc.timestamp()) * 1000 for one in shown()]
    assert [fact["notAfter"] for fact in facts] == ends
    assert facts[0]["subjectCN"] == "jo"
