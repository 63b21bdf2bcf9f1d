"""Tenant and teams of an entity."""

from __future__ import annotations

from oto_trio.model.document import read_document
from oto_trio.model.location import Location


def test_ids_are_trimmed_and_lower_cased() -> None:
    location = read_document(Location, {"tenant": " ACME ", "teams": ["Ops", " dev"]})
    assert location == Location(tenant="acme", teams=("ops", "dev"))


def test_teams_may_be_objects_with_a_value() -> None:
    location = read_document(Location, {"tenant": "t", "teams": [{"value": "A"}, "b"]})
    assert location.teams == ("a", "b")


def test_teams_of_another_type_read_as_the_default_team() -> None:
    for teams in ("a", [1], [{"name": "a"}], [{"value": 1}]):
        assert read_document(Location, {"teams": teams}).teams == ("default",)
