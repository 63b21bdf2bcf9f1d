"""The remote catalog: a place, such as a git repository, whose entities are deployed here."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.job_settings import JobSettings
from oto_trio.model.location import Location

__all__ = ["REMOTE_CATALOGS", "CatalogSchedule", "RemoteCatalog", "remote_catalog_template"]

REMOTE_CATALOGS: Final = "remote-catalogs"
"""Kind under which the store keeps them."""


class CatalogSchedule(JobSettings, frozen=True, kw_only=True):
    """When the catalog is deployed by itself."""

    deploy_args: Annotated[dict[str, Any], Meta(description="arguments of these deployments")] = (
        msgspec.field(default_factory=dict[str, Any])
    )


class RemoteCatalog(Document, frozen=True, kw_only=True):
    """A remote catalog (``catalogs.otoroshi.io/RemoteCatalog``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the catalog")]
    name: Annotated[str, Meta(description="name of the catalog")]
    description: Annotated[str, Meta(description="what it is for")] = "--"
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    enabled: Annotated[bool, Meta(description="deploy it")] = True
    source_kind: Annotated[
        Literal[
            "file",
            "http",
            "github",
            "gitlab",
            "s3",
            "consulkv",
            "bitbucket",
            "gitea",
            "forgejo",
            "codeberg",
            "git",
        ],
        Meta(description="what kind of place it is"),
    ] = "http"
    source_config: Annotated[dict[str, Any], Meta(description="where it is")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    scheduling: Annotated[CatalogSchedule, Meta(description="when it is deployed by itself")] = (
        CatalogSchedule()
    )
    test_deploy_args: Annotated[dict[str, Any], Meta(description="arguments of test runs")] = (
        msgspec.field(default_factory=dict[str, Any])
    )


def remote_catalog_template(*, env: str = "prod") -> RemoteCatalog:
    """Make the catalog that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return RemoteCatalog(
        id=named_id("remote-catalog", env=env),
        name="New Remote Catalog",
        description="New Remote Catalog",
    )
