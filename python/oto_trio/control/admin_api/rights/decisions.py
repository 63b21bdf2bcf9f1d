"""What a list of rights allows: pure decisions over tenants and teams.

A right allows something in an entity's place when its tenant entry matches the tenant *and* one of its own
team entries matches one of the teams, each with the flag that is needed. Otoroshi takes the tenant from one
right and the team from any other, so that two narrow rights add up to a wide one; here they do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from oto_trio.model.location import Location
from oto_trio.model.matching import is_wildcard_match

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oto_trio.model.rights import UserRight

__all__ = ["ANYWHERE", "DEFAULT_TENANT", "Mode", "Rights"]

ANYWHERE: Final = "*"
"""The tenant of an entity that belongs to every tenant, and the team of one that belongs to every team."""

DEFAULT_TENANT: Final = "default"

Mode = Literal["r", "w"]
"""What is to be done: read, or write."""


class _Entry(NamedTuple):
    """One ``id:flags``, taken apart."""

    pattern: str
    can_read: bool
    can_write: bool

    def matches(self, entity_id: str, mode: Mode) -> bool:
        """Tell whether it allows something for an id."""
        can = self.can_write if mode == "w" else self.can_read
        return can and is_wildcard_match(self.pattern, entity_id)

    def holds(self, other: _Entry) -> bool:
        """Tell whether it allows all that another one allows."""
        if (other.can_read and not self.can_read) or (other.can_write and not self.can_write):
            return False
        if ANYWHERE in other.pattern:
            # Whether one pattern holds another is decided for the plain cases only; else it does not.
            return self.pattern in (ANYWHERE, other.pattern)
        return is_wildcard_match(self.pattern, other.pattern)


def _entry(access: str) -> _Entry:
    """Take an entry apart; it is in its canonical form (`canonical_access`)."""
    pattern, _, flags = access.rpartition(":")
    return _Entry(pattern, "r" in flags, "w" in flags)


class Rights:
    """What a list of rights allows. In ids and patterns only ``*`` is special.

    Args:
        rights: The list; an empty one allows nothing.
    """

    def __init__(self, rights: Iterable[UserRight]) -> None:
        self._rights = [
            (_entry(right.tenant), [_entry(team) for team in right.teams]) for right in rights
        ]
        self.is_super_admin: bool = any(
            tenant == (ANYWHERE, True, True) and (ANYWHERE, True, True) in teams
            for tenant, teams in self._rights
        )
        """Whether everything is allowed everywhere."""

    def is_tenant_admin(self, tenant: str) -> bool:
        """Tell whether everything is allowed in a tenant."""
        return self.is_super_admin or any(
            entry.matches(tenant, "w") and (ANYWHERE, True, True) in teams
            for entry, teams in self._rights
        )

    def may(self, mode: Mode, place: Location, tenant: str) -> bool:
        """Tell whether something may be done to an entity.

        Args:
            mode: What.
            place: Where the entity belongs.
            tenant: The tenant that the request is for; entities of others are out of its reach, but for
                those of every tenant. A super admin's requests reach everything.
        """
        if self.is_super_admin:
            return True
        if place.tenant not in (tenant, ANYWHERE):
            return False
        if place.tenant == ANYWHERE and not self._reads_tenant(tenant):
            return False
        return any(
            entry.matches(place.tenant, mode)
            and (
                any(team.matches(at, mode) for team in teams for at in place.teams)
                or (entry.can_write and (ANYWHERE, True, True) in teams)
            )
            for entry, teams in self._rights
        )

    def _reads_tenant(self, tenant: str) -> bool:
        return any(entry.matches(tenant, "r") for entry, _ in self._rights)

    def covers(self, other: Rights) -> bool:
        """Tell whether these allow all that others allow: nobody may hand on what he has not."""
        if self.is_super_admin:
            return True
        return all(
            any(
                mine.holds(tenant) and any(own.holds(team) for own in own_teams)
                for mine, own_teams in self._rights
            )
            for tenant, teams in other._rights
            for team in teams
            if tenant.can_read and team.can_read
        )

    def own_place(self, tenant: str) -> Location:
        """Return where a new entity of a request goes that does not say it.

        Args:
            tenant: The tenant that the request is for.
        """
        teams = [
            team.pattern
            for entry, own in self._rights
            if entry.matches(tenant, "w")
            for team in own
            if team.can_write and ANYWHERE not in team.pattern
        ]
        return Location(tenant=tenant, teams=tuple(teams[:1]) or ("default",))
