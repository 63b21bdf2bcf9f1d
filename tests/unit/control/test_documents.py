"""Entities as files, and compared: what `oto-trio dump` and `oto-trio diff` rest on."""

import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from oto_trio.control.config_files import read_config_file
from oto_trio.control.declared import read_declared
from oto_trio.control.documents import KINDS, Item, by_plural, declared_items, item_of
from oto_trio.control.documents.difference import Difference, FieldChange, differences
from oto_trio.control.documents.folder import file_texts, stale_files, write_folder
from oto_trio.model.document import write_document


def item(plural: str, **raw: Any) -> Item:
    resource = by_plural(plural)
    assert resource is not None
    found = item_of(resource, raw, "test")
    assert found.entity is not None, found.problems
    return found


def route(name: str, **more: Any) -> Item:
    return item("routes", **{"id": name, "name": name, **more})


def read_back(folder: Path) -> list[Item]:
    declarations, problems = read_declared(read_config_file(folder))
    assert problems == []
    return declared_items(declarations, "folder")


def test_every_kind_survives_the_way_through_files(tmp_path: Path) -> None:
    items = [
        item_of(row, write_document(row.template("prod")), "template")
        for row in KINDS
        if row.template is not None
    ]
    texts = file_texts(items)
    assert len(texts) == len(KINDS)
    write_folder(tmp_path, texts)
    assert differences(items, read_back(tmp_path)) == []
    assert file_texts(read_back(tmp_path)) == texts


@given(
    names=st.sets(
        st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=100), max_size=5
    )
)
def test_any_id_gets_a_file_of_its_own_within_the_folder(
    names: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    items = [route(name) for name in names | {"../a", "..", "A", "a", ".hidden", "a/b", "x" * 300}]
    texts = file_texts(items)
    assert len({path.lower() for path in texts}) == len({each.id for each in items})
    write_folder(folder, texts)
    assert {path.parent for path in folder.rglob("*.yaml")} == {folder / "routes"}
    assert {each.id for each in read_back(folder)} == {each.id for each in items}


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    written = write_folder(tmp_path, file_texts([route("a"), route("b")]))
    assert (written.changed, written.same) == (["routes/a.yaml", "routes/b.yaml"], 0)
    path = tmp_path / "routes" / "a.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "settings.yaml").write_text("settings: {}\n")
    texts = file_texts([route("a", tags=["x"]), route("c")])
    assert stale_files(tmp_path, texts) == ["routes/b.yaml"]
    written = write_folder(tmp_path, texts)
    assert written.changed == ["routes/a.yaml", "routes/c.yaml"]
    assert written.removed == ["routes/b.yaml"]
    assert (tmp_path / "settings.yaml").is_file()
    assert write_folder(tmp_path, texts).same == 2


def test_several_lines_stay_several_lines() -> None:
    (text,) = file_texts([route("a", description="one\ntwo\n")]).values()
    assert "description: |\n    one\n    two\n" in text


def test_differences_name_entity_and_field() -> None:
    before = [route("a"), route("b"), route("c", tags=["x"], metadata={"k": "v"})]
    after = [route("b"), route("c", tags=["x", "y"], enabled=False), route("d")]
    assert differences(before, after) == [
        Difference("removed", "routes", "a", []),
        Difference(
            "changed",
            "routes",
            "c",
            [
                FieldChange("$.tags[1]", UNSET, "y"),
                FieldChange("$.metadata.k", "v", UNSET),
                FieldChange("$.enabled", before=True, after=False),
            ],
        ),
        Difference("added", "routes", "d", []),
    ]
    assert differences(before, before) == []


def test_dates_that_the_admin_api_writes_are_no_difference() -> None:
    dates = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"}
    before, after = route("a", metadata={"k": "v"}), route("a", metadata={"k": "v", **dates})
    assert differences([before], [after]) == []
    assert differences([after], [before]) == []
    (difference,) = differences([after], [route("a", metadata={"k": "w"})])
    assert [change.path for change in difference.fields] == ["$.metadata.k"]


def test_zero_is_not_false_and_one_not_true() -> None:
    before, after = item("routes", id="a", name="a", x=0), item("routes", id="a", name="a", x=False)
    (difference,) = differences([before], [after])
    assert [change.path for change in difference.fields] == ["$.x"]


def test_a_secret_is_told_to_differ_and_not_shown() -> None:
    def key(secret: str, **more: Any) -> Item:
        raw = {"clientId": "c", "clientName": "c", "clientSecret": secret, **more}
        return item("apikeys", **raw)

    def caller(**config: Any) -> Item:
        return route("r", plugins=[{"plugin": "cp:x", "config": config}])

    before = [key("one-secret"), caller()]
    after = [key("two-secret"), caller(password="two-secret", to=[{"token": "two-secret"}])]
    found = differences(before, after)
    assert len(found) == 2
    assert "secret'" not in str(found)
    assert "***" in str(found)
