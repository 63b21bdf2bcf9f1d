"""What an empty store needs before anything can run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.admin_api.resources import GLOBAL_CONFIGS
from oto_trio.control.store import Put
from oto_trio.model.document import encode_document
from oto_trio.model.errors import ConflictError
from oto_trio.model.global_config import GLOBAL_CONFIG_ID, first_global_config
from oto_trio.model.organization import TENANTS, first_organization
from oto_trio.model.service_group import SERVICE_GROUPS, first_service_groups
from oto_trio.model.simple_admin import SIMPLE_ADMINS
from oto_trio.model.team import TEAMS, first_team

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oto_trio.control.store import Store
    from oto_trio.model.simple_admin import SimpleAdmin

__all__ = ["bootstrap"]


async def bootstrap(
    store: Store, first_admin: Callable[[], Awaitable[SimpleAdmin]] | None = None
) -> bool:
    """Put the first global configuration into a store that has none, with what entities belong to.

    That is the default organization and team, and two service groups: ``default``, where new routes go,
    and the admin API's. All of it is one transaction; one of them that is there already stays as it is.

    Args:
        store: The store.
        first_admin: Makes the first administrator, when there is none; None leaves that out.

    Returns:
        Whether it was put there now.

    Raises:
        StoreError: The store cannot be written.
    """
    if await store.get(GLOBAL_CONFIGS.store_kind, GLOBAL_CONFIG_ID) is not None:
        return False
    config = encode_document(first_global_config())
    organization, team = first_organization(), first_team()
    places = [
        (TENANTS, organization.id, encode_document(organization)),
        (TEAMS, team.id, encode_document(team)),
        *((SERVICE_GROUPS, group.id, encode_document(group)) for group in first_service_groups()),
    ]
    if first_admin is not None and await store.count(SIMPLE_ADMINS) == 0:
        admin = await first_admin()
        places.append((SIMPLE_ADMINS, admin.id, encode_document(admin)))
    missing = [place for place in places if await store.get(place[0], place[1]) is None]
    try:
        await store.transact(
            [
                Put(GLOBAL_CONFIGS.store_kind, GLOBAL_CONFIG_ID, config, expect="absent"),
                *(Put(kind, entity_id, document) for kind, entity_id, document in missing),
            ]
        )
    except ConflictError:
        return False
    return True
