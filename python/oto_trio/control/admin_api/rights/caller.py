"""Who asks: the caller of the request that is being handled, and what that caller may do."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.rights.admin_traffic import is_admin_route
from oto_trio.control.admin_api.rights.decisions import DEFAULT_TENANT, Rights
from oto_trio.control.admin_api.rights.locations import held_rights, place_of
from oto_trio.model.document import Document
from oto_trio.model.location import Location
from oto_trio.model.rights import Validators

if TYPE_CHECKING:
    from collections.abc import Generator

    from oto_trio.control.admin_api.rights.decisions import Mode

__all__ = ["Caller", "acting_as", "current_caller", "denied", "placed", "required_caller"]

D = TypeVar("D", bound=Document)

TENANT_HEADER: Final = "otoroshi-tenant"
"""Header that names the tenant a request is for."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and for which tenant."""

    client_id: str = ""
    """The API key that was accepted; empty for a session."""
    name: str = ""
    """Name to show; empty for a plain key."""
    email: str = ""
    address: str = ""
    """Address of the client: of a request that came through the gateway, the one its worker saw."""
    session: str = ""
    """Id of the session of the console; empty for a key."""
    rights: Rights | None = None
    """None may do everything: a key without rights in its metadata."""
    tenant: str = DEFAULT_TENANT
    """The tenant that the request is for."""
    validators: Validators = msgspec.field(default_factory=Validators)
    """Checks of what this user writes."""
    is_generic: bool = False
    """Whether the request is of the generic dialect, which refuses in other words."""

    @property
    def is_user(self) -> bool:
        """Whether somebody with rights of their own acts, whom entity validators bind."""
        return self.rights is not None

    @property
    def is_super_admin(self) -> bool:
        """Whether everything is allowed."""
        return self.rights is None or self.rights.is_super_admin

    @property
    def is_tenant_admin(self) -> bool:
        """Whether everything is allowed in the tenant that the request is for."""
        return self.rights is None or self.rights.is_tenant_admin(self.tenant)

    def may(self, mode: Mode, kind: str, entity_id: str, document: bytes) -> bool:
        """Tell whether something may be done to a stored document.

        Beside its place it counts what it would give away: a user, a session or a key of the admin API with
        more rights than the caller's is out of reach, for reading too, as keys are shown with their secret.
        The admin API's route is written by super admins only, wherever it belongs.

        Args:
            mode: What.
            kind: Kind under which the store keeps it.
            entity_id: Its id.
            document: JSON text.
        """
        if self.rights is None or self.rights.is_super_admin:
            return True
        if mode == "w" and is_admin_route(kind, entity_id):
            return False
        place = place_of(kind, entity_id, document)
        if place is None or not self.rights.may(mode, place, self.tenant):
            return False
        held = held_rights(kind, document)
        return held is None or self.rights.covers(held)

    def own_place(self) -> dict[str, Any]:
        """Return the ``_loc`` of a new entity that a template is asked for."""
        if self.rights is None:
            return {"tenant": self.tenant, "teams": ["default"]}
        place = self.rights.own_place(self.tenant)
        return {"tenant": place.tenant, "teams": list(place.teams)}


_caller: ContextVar[Caller | None] = ContextVar("caller of the admin API", default=None)


def current_caller() -> Caller | None:
    """Return who asks; None outside a request, or when the path is open to all."""
    return _caller.get()


def required_caller() -> Caller:
    """Return who asks.

    Raises:
        ApiError: Nobody does: the request was not checked, so it may do nothing.
    """
    caller = _caller.get()
    if caller is None:
        raise ApiError(401, "unauthorized", "nobody asks: this request was not checked")
    return caller


def placed(entity: D) -> D:
    """Put an entity that is made for the caller, not sent by it, where the caller may write."""
    caller = _caller.get()
    if caller is None or caller.is_super_admin:
        return entity
    place = msgspec.convert(caller.own_place(), Location)
    return msgspec.structs.replace(entity, loc=place)


@contextmanager
def acting_as(caller: Caller) -> Generator[None]:
    """Handle a request for somebody; tasks that are started meanwhile act for the same."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


def denied(caller: Caller, why: str = "") -> ApiError:
    """Make the refusal of an entity that a caller may not reach, in the words of the dialect.

    Args:
        caller: Who asks.
        why: What to say in the place of Otoroshi's words.
    """
    if caller.is_generic:
        return ApiError(401, "unauthorized", why or "you cannot access this resource")
    return ApiError(403, "forbidden", why or "You're not allowed to do this !")
