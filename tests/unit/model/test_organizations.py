"""Service groups, organizations, teams and rights in Otoroshi's JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.model.document import read_document, write_document
from oto_trio.model.errors import EntityError
from oto_trio.model.organization import Organization, first_organization, organization_template
from oto_trio.model.rights import SUPER_ADMIN, UserRight, canonical_access
from oto_trio.model.service_group import (
    ServiceGroup,
    first_service_groups,
    service_group_template,
)
from oto_trio.model.team import Team, first_team, team_template

HERE = {"tenant": "default", "teams": ["default"]}


def test_a_bare_group_is_written_with_every_default() -> None:
    assert list(write_document(read_document(ServiceGroup, {"id": "g", "name": "n"})).items()) == [
        ("_loc", HERE),
        ("id", "g"),
        ("name", "n"),
        ("description", ""),
        ("tags", []),
        ("metadata", {}),
    ]


def test_a_bare_organization_is_named_by_its_id_in_lower_case() -> None:
    assert list(write_document(read_document(Organization, {"id": " ACME "})).items()) == [
        ("id", "acme"),
        ("name", "acme"),
        ("description", ""),
        ("metadata", {}),
        ("tags", []),
    ]


def test_a_bare_team_is_named_by_its_id_and_belongs_to_an_organization() -> None:
    raw = {"id": "Ops", "tenant": "ACME"}
    assert list(write_document(read_document(Team, raw)).items()) == [
        ("id", "ops"),
        ("tenant", "acme"),
        ("name", "ops"),
        ("description", ""),
        ("metadata", {}),
        ("tags", []),
    ]
    with pytest.raises(EntityError) as caught:
        read_document(Team, {"id": "ops"})
    assert [p.path for p in caught.value.problems] == ["$.tenant"]


def test_templates_have_otoroshis_words_and_a_new_id() -> None:
    group = service_group_template()
    assert group.id.startswith("group_")
    assert (group.name, group.description) == ("product-group", "group for product")
    assert service_group_template(env="dev").id.startswith("group_dev_")
    assert organization_template("tenant").id.startswith("tenant_")
    assert team_template().tenant == "default"


def test_a_new_installation_has_the_places_that_defaults_refer_to() -> None:
    assert [group.id for group in first_service_groups()] == ["admin-api-group", "default"]
    assert first_organization().name == "Default organization"
    assert (first_team().id, first_team().tenant) == ("default", "default")


@pytest.mark.parametrize(
    ("access", "written"),
    [
        ("default", "default:rw"),
        ("Default:RW", "default:rw"),
        ("default:wr", "default:rw"),
        ("default:r", "default:r"),
        (" default : r ", "default:r"),
        ("default:w", "default:"),
        ("default:not", "default:"),
        ("default:", "default:"),
        ("ruler:", "ruler:"),
        ("*:rw", "*:rw"),
        ("team-*", "team-*:rw"),
    ],
)
def test_access_is_written_in_one_form(access: str, written: str) -> None:
    assert canonical_access(access) == written


@given(st.text(max_size=12))
def test_the_form_in_which_access_is_written_reads_as_itself(access: str) -> None:
    once = canonical_access(access)
    assert canonical_access(once) == once


@given(st.text(st.characters(exclude_characters=":"), max_size=8), st.text("rwx:", max_size=4))
def test_no_flags_ever_become_more_than_they_said(name: str, flags: str) -> None:
    granted = canonical_access(f"{name}:{flags}").rpartition(":")[2]
    assert set(granted) <= set(flags.rpartition(":")[2])


def test_a_right_needs_both_halves_and_a_list_of_teams() -> None:
    assert read_document(UserRight, {"tenant": "a", "teams": ["b:r"]}) == UserRight(
        tenant="a:rw", teams=("b:r",)
    )


@pytest.mark.parametrize("raw", [{"tenant": "a"}, {"teams": []}, {"tenant": "a", "teams": "b"}])
def test_half_a_right_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises(EntityError):
        read_document(UserRight, raw)


def test_a_super_admin_may_do_everything() -> None:
    assert [write_document(right) for right in SUPER_ADMIN] == [
        {"tenant": "*:rw", "teams": ["*:rw"]}
    ]
