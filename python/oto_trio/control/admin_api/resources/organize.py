"""Rows of what entities and users belong to: ``organize.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.organization import TENANTS as TENANT_KIND
from oto_trio.model.organization import Organization, canonical_org_id, organization_template
from oto_trio.model.service_group import SERVICE_GROUPS as SERVICE_GROUP_KIND
from oto_trio.model.service_group import ServiceGroup, service_group_template
from oto_trio.model.team import TEAMS as TEAM_KIND
from oto_trio.model.team import Team, team_template

__all__ = ["ORGANIZATIONS", "SERVICE_GROUPS", "TEAMS", "TENANTS"]

SERVICE_GROUPS: Final = Resource(
    kind="ServiceGroup",
    plural="service-groups",
    singular="service-group",
    group="organize.otoroshi.io",
    legacy_path="/api/groups",
    store_kind=SERVICE_GROUP_KIND,
    cls=ServiceGroup,
    template=lambda env: service_group_template(env=env),
    template_key="group",
)

ORGANIZATIONS: Final = Resource(
    kind="Organization",
    plural="organizations",
    singular="organization",
    group="organize.otoroshi.io",
    legacy_path=None,
    store_kind=TENANT_KIND,
    cls=Organization,
    template=lambda env: organization_template("organization", env=env),
    template_key="tenant",
    canonical_id=canonical_org_id,
)

TENANTS: Final = Resource(
    kind="Tenant",
    plural="tenants",
    singular="tenant",
    group="organize.otoroshi.io",
    legacy_path="/api/tenants",
    store_kind=TENANT_KIND,
    cls=Organization,
    template=lambda env: organization_template("tenant", env=env),
    template_key="tenant",
    canonical_id=canonical_org_id,
)
"""The same entities as `ORGANIZATIONS`, under their older name."""

TEAMS: Final = Resource(
    kind="Team",
    plural="teams",
    singular="team",
    group="organize.otoroshi.io",
    legacy_path="/api/teams",
    store_kind=TEAM_KIND,
    cls=Team,
    template=lambda env: team_template(env=env),
    template_key="team",
    canonical_id=canonical_org_id,
)
