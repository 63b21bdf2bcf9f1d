"""Scripts in Otoroshi's JSON."""

from __future__ import annotations

import pytest

from oto_trio.model.document import read_document, write_document
from oto_trio.model.errors import EntityError
from oto_trio.model.script import Script, script_template

BARE = {"id": "s1", "name": "one", "desc": "d", "code": "new A()", "type": "sink"}


def test_a_bare_script_is_written_with_every_default_in_otoroshis_order() -> None:
    assert list(write_document(read_document(Script, BARE)).items()) == [
        ("_loc", {"tenant": "default", "teams": ["default"]}),
        *BARE.items(),
        ("metadata", {}),
        ("tags", []),
    ]


@pytest.mark.parametrize("key", list(BARE))
def test_every_key_of_a_bare_script_is_needed(key: str) -> None:
    with pytest.raises(EntityError) as caught:
        read_document(Script, {k: v for k, v in BARE.items() if k != key})
    assert [p.path for p in caught.value.problems] == [f"$.{key}"]


def test_a_type_that_nobody_knows_is_answered_with_the_types() -> None:
    with pytest.raises(EntityError, match="'app', 'transformer'"):
        read_document(Script, {**BARE, "type": "macro"})


def test_the_template() -> None:
    template = script_template(env="dev")
    assert template.id.startswith("script_dev_")
    assert template.type == "transformer"
    assert read_document(Script, write_document(template)) == template
