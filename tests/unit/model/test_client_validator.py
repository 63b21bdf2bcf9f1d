"""The client certificate validator in Otoroshi's JSON."""

from __future__ import annotations

import pytest

from oto_trio.model.client_validator import ClientValidator, client_validator_template
from oto_trio.model.document import read_document, write_document
from oto_trio.model.errors import EntityError

BARE = {"id": "v1", "name": "one", "url": "https://v.localhost", "host": "v.localhost"}


def test_a_bare_validator_is_written_with_every_default_in_otoroshis_order() -> None:
    assert list(write_document(read_document(ClientValidator, BARE)).items()) == [
        ("_loc", {"tenant": "default", "teams": ["default"]}),
        ("id", "v1"),
        ("name", "one"),
        ("description", "--"),
        ("url", "https://v.localhost"),
        ("host", "v.localhost"),
        ("goodTtl", 600_000),
        ("badTtl", 60_000),
        ("method", "POST"),
        ("path", "/certificates/_validate"),
        ("timeout", 10_000),
        ("noCache", False),
        ("alwaysValid", False),
        ("headers", {}),
        ("proxy", None),
        ("metadata", {}),
        ("tags", []),
    ]


@pytest.mark.parametrize("key", list(BARE))
def test_four_keys_are_required(key: str) -> None:
    with pytest.raises(EntityError) as caught:
        read_document(ClientValidator, {k: v for k, v in BARE.items() if k != key})
    assert [p.path for p in caught.value.problems] == [f"$.{key}"]


def test_the_template_has_a_new_id() -> None:
    first, second = client_validator_template(), client_validator_template(env="dev")
    assert first.id.startswith("client-validator_")
    assert second.id.startswith("client-validator_dev_")
