"""The OpenAPI document and its page, as they are served."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

if TYPE_CHECKING:
    from oto_trio.testing.admin_api import ServedAdminApi as Served


async def test_the_document_has_otoroshis_names_and_needs_no_key(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        first = await stranger.get("/apis/openapi.json")
        assert first.status_code == 200
        assert first.headers["content-type"] == "application/json"
        assert first.headers["access-control-allow-origin"] == "*"
        assert first.headers["otoroshi-state-resp"] == "--"
        for path in ("/apis/openapi", "/api/openapi.json"):
            assert (await stranger.get(path)).content == first.content
        for path in ("/apis/openapi.yaml", "/apis/openapi.yml"):
            written = await stranger.get(path)
            assert written.headers["content-type"] == "application/yaml"
            assert yaml.load(written.text, yaml.CSafeLoader) == first.json()
        assert (await stranger.post("/apis/openapi.json")).status_code == 405
        assert (await stranger.get("/apis/openapi.xml")).status_code == 400, "this needs the key"


async def test_it_describes_the_api_that_serves_it(served: Served) -> None:
    document = (await served.call("GET", "/apis/openapi.json")).json()
    for path, item in document["paths"].items():
        if "{" not in path and "get" in item:
            answer = await served.call("GET", path)
            status = str(answer.status_code)
            assert status in item["get"]["responses"], path
            described = item["get"]["responses"][status]
            if "$ref" in described:
                described = document["components"]["responses"][status]
            content = described["content"]
            assert answer.headers["content-type"].split(";")[0] in content, path


@pytest.mark.parametrize("path", ["/docs", "/apis/openapi/ui", "/api/openapi/ui"])
async def test_the_page_loads_nothing_from_elsewhere(served: Served, path: str) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        page = await stranger.get(path, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        text = page.text
        links = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert links
        for link in links:
            assert link.startswith("/"), "no other host"
            part = await stranger.get(link)
            assert part.status_code == 200, link
            text += part.text if "openapi" not in link else ""
        assert not re.search(r"https?://", text)
        assert "innerHTML" not in text, "the document is shown as text, never as markup"


async def test_a_wrong_verb_is_told_every_verb_of_its_path(served: Served) -> None:
    # The first is served by two routes, each with verbs of its own.
    for path, verbs in (
        ("/api/certificates", {"GET", "HEAD", "POST"}),
        ("/api/globalconfig", {"GET", "HEAD", "PUT", "PATCH"}),
        ("/apis/openapi.json", {"GET", "HEAD"}),
    ):
        wrong = await served.call("OPTIONS", path)
        assert wrong.status_code == 405
        assert set(wrong.headers["Allow"].split(", ")) == verbs, path
