"""Whatever a client with the key sends, the answer is no 5xx, and a refusal changes nothing."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import trio
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.control.admin_api import build_app
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.first_start import bootstrap
from oto_trio.control.store import MemoryStore
from oto_trio.model.document import write_document
from oto_trio.model.route import route_template
from oto_trio.testing.fake_gateway import FakeGatewayControl

KEY = (DEV_CREDENTIALS.client_id, DEV_CREDENTIALS.client_secret)
TYPES = [
    "application/json",
    "application/yaml",
    "application/json+oto-patch",
    "application/x-www-form-urlencoded",
    "application/x-ndjson",
    "text/plain",
    "",
    "application/json; charset=latin-1",
]
BASES = [
    "/apis/proxy.otoroshi.io/v1/routes",
    "/apis/any/v1/backends",
    "/apis/config.otoroshi.io/v1/global-configs",
    "/api/routes",
    "/api/backends",
    "/api/globalconfig",
    "/api/otoroshi.json",
    "/api/import",
    "/apis/entities",
    "/apis/apim.otoroshi.io/v1/apikeys",
    "/apis/pki.otoroshi.io/v1/certificates",
    "/apis/security.otoroshi.io/v1/jwt-verifiers",
    "/apis/events.otoroshi.io/v1/data-exporters",
    "/api/apikeys",
    "/api/certificates",
    "/api/verifiers",
    "/api/data-exporter-configs",
    "/api/groups/g/apikeys",
    "/api/pki/cas",
    "/api/pki/certs",
    "/api/pki/csrs",
    "/api/pki/keys",
    "/api/certificates/_importP12",
    "/api/audit/events",
    "/api/alert/events",
    "/health",
    "/metrics",
]
TAILS = [
    "",
    "/",
    "/r",
    "/_bulk",
    "/_template",
    "/_count",
    "/_schema",
    "/none",
    "/a/b",
    "/%00",
    "/%FF",
]

texts = st.text(max_size=10)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**64, -(2**70), 1e308])
    | st.floats(allow_nan=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
known_keys = st.sampled_from(
    ["clientId", "clientName", "clientSecret", "rotation", "restrictions", "algoSettings", "strategy",
     "source", "type", "config", "filtering", "projection", "chain", "privateKey", "subject", "hosts",
     "key", "duration", "ca", "authorizedEntities", "validUntil", "dailyQuota", "$regex", "$at",
     "id", "name", "backend", "frontend", "plugins", "metadata", "_loc", "targets", "url", "op",
     "path", "value", "from", "patch", "kind", "spec", "apiVersion", "templates", "domain"]
)  # fmt: skip
entity_like = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known_keys, inner, max_size=6),
    max_leaves=12,
)
json_bodies = entity_like.map(msgspec.json.encode)
bodies = st.one_of(st.binary(max_size=80), json_bodies, st.lists(json_bodies).map(b"\n".join))
parameters = st.dictionaries(
    st.sampled_from(
        ["page", "pageSize", "fields", "filtered", "sorted", "filter.name", "filter.$", "envelope",
         "pretty", "timeout", "strict", "_group", "format", "filter", "schema"]
    ) | texts,
    texts,
    max_size=3,
)  # fmt: skip
headers = st.fixed_dictionaries(
    {"Content-Type": st.sampled_from(TYPES)},
    optional={
        "Accept": st.sampled_from(
            ["*/*", "text/html", "application/x-ndjson", "application/yaml", "application/yaml+k8s"]
        ),
        "Otoroshi-State": st.text("az09-", max_size=9),
    },
)


@given(
    verb=st.sampled_from(
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"]
    ),
    base=st.sampled_from(BASES),
    tail=st.sampled_from(TAILS) | texts.map(lambda t: "/" + t),
    query=parameters,
    sent=headers,
    body=bodies,
)
def test_no_request_makes_the_server_fail(
    verb: str, base: str, tail: str, query: dict[str, str], sent: dict[str, str], body: bytes
) -> None:
    async def check() -> None:
        async with MemoryStore() as store:
            await bootstrap(store)
            await store.put("routes", "r", msgspec.json.encode(write_document(route_template())))
            before = store.revision
            app = build_app(store, [DEV_CREDENTIALS], FakeGatewayControl())
            transport: Any = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x", auth=KEY) as api:
                path = quote(base + tail, safe="/%", errors="replace")
                url = httpx.URL(f"http://x{path}").copy_with(params=query)
                answer = await api.request(verb, url, headers=sent, content=body)
            assert answer.status_code < 500, (answer.status_code, answer.text)
            if answer.status_code >= 400:
                assert store.revision == before, "what is refused changes nothing"
            elif verb in ("POST", "PUT", "PATCH") and "_bulk" not in tail:
                async for record in store.walk("routes"):
                    msgspec.json.decode(record.document)

    trio.run(check)
