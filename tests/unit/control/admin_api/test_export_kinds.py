"""The table of what an export holds."""

from __future__ import annotations

from collections import Counter

import pytest

from oto_trio.control.admin_api.export_kinds import (
    CONFIG,
    EXPORT_KINDS,
    NOT_EXPORTED,
    find_raw_key,
    resource_of,
    store_kinds,
)
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES

ROWS = (CONFIG, *EXPORT_KINDS)

# From Otoroshi's `OtoroshiExport`, in its order; apis and apiSubscriptions came last.
OTOROSHI_LISTS = [
    "admins",
    "simpleAdmins",
    "serviceGroups",
    "apiKeys",
    "serviceDescriptors",
    "errorTemplates",
    "jwtVerifiers",
    "authConfigs",
    "certificates",
    "clientValidators",
    "scripts",
    "tcpServices",
    "dataExporters",
    "tenants",
    "teams",
    "routes",
    "routeCompositions",
    "backends",
    "wasmPlugins",
    "drafts",
    "apis",
    "apiSubscriptions",
]


def test_every_resource_has_a_row() -> None:
    """Whoever adds a resource adds its row here, or an import would drop its entities."""
    known = {row.kind for row in ROWS} | NOT_EXPORTED
    assert {resource.kind for resource in LEGACY_RESOURCES} <= known


def test_every_row_and_its_resource_agree() -> None:
    for row in ROWS:
        resource = resource_of(row)
        if resource is not None:
            assert resource.id_key == row.id_key or row is CONFIG, row.kind
            # What an earlier version kept under the plural must be found by the one that serves it.
            assert resource.store_kind == row.plural, row.kind


def test_every_list_of_otoroshi_is_there_in_its_order() -> None:
    keys = [row.key for row in EXPORT_KINDS if row.extension is None]
    assert keys[: len(OTOROSHI_LISTS)] == OTOROSHI_LISTS


@pytest.mark.parametrize("field", ["kind", "plural", "key", "raw"])
def test_no_two_rows_share_a_name(field: str) -> None:
    assert max(Counter(getattr(row, field) for row in ROWS).values()) == 1
    assert len(store_kinds()) == len(ROWS)


def test_a_raw_key_leads_to_its_row_whatever_its_id() -> None:
    for row in EXPORT_KINDS:
        for entity_id in ("x", "a:b", "routes:r", "global"):
            assert find_raw_key(row.raw + entity_id) == (row, entity_id)
    assert find_raw_key("config:global") == (CONFIG, "global")


@pytest.mark.parametrize(
    "key",
    ["", "routes:", "apikey:quotas:daily:k", "desclookup:x", "users:backoffice:t", "routesx:1"],
)
def test_a_raw_key_of_no_entity_leads_nowhere(key: str) -> None:
    assert find_raw_key(key) is None
