"""Where a stored entity belongs, and which rights it would give to whoever holds it."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from oto_trio.control.admin_api.resources import API_KEYS, CERTIFICATES, LEGACY_RESOURCES
from oto_trio.control.admin_api.resources.organize import TEAMS, TENANTS
from oto_trio.control.admin_api.rights.decisions import DEFAULT_TENANT, Rights
from oto_trio.model.admin_session import ADMIN_SESSIONS
from oto_trio.model.document import JsonObject, inspect_document
from oto_trio.model.location import Location
from oto_trio.model.rights import SUPER_ADMIN, UserRight, Validators
from oto_trio.model.simple_admin import SIMPLE_ADMINS
from oto_trio.pki.first_certificates import INTERMEDIATE_CA, ROOT_CA

__all__ = [
    "ACCESS_RIGHTS",
    "ADMINISTRATORS",
    "held_rights",
    "keeps_validators",
    "opens_admin_api",
    "place_of",
    "read_rights",
    "rights_of_key",
]

ACCESS_RIGHTS: Final = "otoroshi-access-rights"
"""The key of an API key's metadata whose text is the list of its rights."""

WEBAUTHN_ADMINS: Final = "webauthn-admins"
"""Kind under which administrators with passkeys are kept."""

ADMINISTRATORS: Final = frozenset({SIMPLE_ADMINS, WEBAUTHN_ADMINS, ADMIN_SESSIONS})
"""Kinds of administrators and their sessions, whose documents have ``rights``."""

_ADMIN_API: Final = frozenset(
    {"group_admin-api-group", "route_admin-api-service", "service_admin-api-service"}
)
"""What an API key must be authorised for, one of them, to be taken by the admin API."""


class _Located(msgspec.Struct, frozen=True):
    """The one key of a document that says where it belongs."""

    loc: Any = msgspec.field(default=None, name="_loc")


class _CopyOf(msgspec.Struct, frozen=True):
    """What says of which certificate a document is a copy, kept since that was renewed."""

    metadata: Any = None


class _TeamPlace(msgspec.Struct, frozen=True):
    """What says where a team belongs."""

    tenant: str = ""


_located: Final = msgspec.json.Decoder(_Located)
_copy: Final = msgspec.json.Decoder(_CopyOf)
_team: Final = msgspec.json.Decoder(_TeamPlace)
_any: Final = msgspec.json.Decoder()

_LOCATED: Final = {WEBAUTHN_ADMINS} | {
    resource.store_kind
    for resource in LEGACY_RESOURCES
    if any(field.encode_name == "_loc" for field in msgspec.structs.fields(resource.cls))
}
"""Kinds whose documents say where they belong."""


_OWN_AUTHORITIES: Final = (ROOT_CA, INTERMEDIATE_CA)
"""Ids of the certificates under which everything of this installation is signed."""

_OWN_PLACE: Final = Location(tenant=DEFAULT_TENANT, teams=())
"""Of no team: only for administrators of the tenant, and super admins."""


def place_of(kind: str, entity_id: str, document: bytes) -> Location | None:
    """Return where a stored document belongs.

    An organization belongs to itself and to no team, a team to its organization and itself. The
    installation's own root and intermediate authorities, and the copies kept of them when they were renewed,
    belong to no team of the default tenant, whatever they say: their documents hold the keys that everything
    else is trusted by. None stands for what belongs to nobody but a super admin: the global configuration,
    kinds that nothing is known of, and documents that say it in a way that cannot be read.

    Args:
        kind: Kind under which the store keeps it.
        entity_id: Its id.
        document: JSON text.
    """
    try:
        if kind == TENANTS.store_kind:
            return Location(tenant=entity_id, teams=())
        if kind == TEAMS.store_kind:
            tenant = _team.decode(document).tenant
            return Location(tenant=tenant, teams=(entity_id,)) if tenant else None
        if kind not in _LOCATED:
            return None
        loc: Any = _located.decode(document).loc
        if kind == CERTIFICATES.store_kind and _is_own_authority(entity_id, document):
            return _OWN_PLACE
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if loc is None:
        return Location()
    place, problems = inspect_document(Location, loc)
    is_clear = not any(problem.path.startswith(("$.tenant", "$.teams")) for problem in problems)
    return Location(tenant=place.tenant, teams=place.teams) if place and is_clear else None


def _is_own_authority(entity_id: str, document: bytes) -> bool:
    """Tell whether a certificate is one of the installation's own authorities, or a copy of one."""
    if entity_id in _OWN_AUTHORITIES:
        return True
    metadata: object = _copy.decode(document).metadata
    if not isinstance(metadata, dict):
        return False
    return cast("JsonObject", metadata).get("nextCertificate") in _OWN_AUTHORITIES


def read_rights(value: object) -> Rights | None:
    """Read a list of rights as JSON has it; None when it is none."""
    try:
        return Rights(msgspec.convert(value, tuple[UserRight, ...]))
    except (msgspec.ValidationError, TypeError, ValueError):
        return None


def opens_admin_api(document: JsonObject) -> bool:
    """Tell whether an API key is authorised for the admin API."""
    authorised: object = document.get("authorizedEntities")
    if not isinstance(authorised, list):
        return False
    return any(each in _ADMIN_API for each in cast("list[object]", authorised))


def held_rights(kind: str, text: bytes) -> Rights | None:
    """Return the rights that a document gives to whoever knows or is it; None when it gives none.

    Rights that cannot be read count as everything: who may not have that must not touch them.

    Args:
        kind: Kind under which the store keeps it.
        text: The document, JSON text.
    """
    if kind not in ADMINISTRATORS and kind != API_KEYS.store_kind:
        return None
    everything = Rights(SUPER_ADMIN)
    try:
        found: object = _any.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return everything
    if not isinstance(found, dict):
        return everything
    document = cast("JsonObject", found)
    if kind in ADMINISTRATORS:
        return read_rights(document.get("rights")) or everything
    if not opens_admin_api(document):
        return None
    return rights_of_key(document) or everything


def keeps_validators(kind: str, text: bytes, mine: Validators) -> bool:
    """Tell whether a document lets nobody in whom other validators bind than those of its writer.

    A user must have the same ones. A key of the admin API has none, whatever rights it has.

    Args:
        kind: Kind under which the store keeps it.
        text: The document, JSON text.
        mine: The validators of who writes it.
    """
    if not mine or (kind not in ADMINISTRATORS and kind != API_KEYS.store_kind):
        return True
    try:
        found: object = _any.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    document = cast("JsonObject", found)
    if kind == API_KEYS.store_kind:
        return not opens_admin_api(document)
    # As texts: to Python 1 and true are the same.
    given = msgspec.json.encode(document.get("adminEntityValidators"), order="sorted")
    return given == msgspec.json.encode(mine, order="sorted")


def rights_of_key(document: JsonObject) -> Rights | None:
    """Read the rights in an API key's metadata.

    Returns:
        None when it has none, and so may do everything. A text that is no list of rights allows nothing.
    """
    metadata: object = document.get("metadata")
    text: object = None
    if isinstance(metadata, dict):
        text = cast("JsonObject", metadata).get(ACCESS_RIGHTS)
    if text is None:
        return None
    nothing = Rights(())
    if not isinstance(text, str):
        return nothing
    try:
        return read_rights(_any.decode(text)) or nothing
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return nothing
