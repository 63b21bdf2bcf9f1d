"""What one row of the table of resources says of a kind of entity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oto_trio.control.store import Store
    from oto_trio.model.document import Document, JsonObject

__all__ = ["BULK_ACTIONS", "RESERVED_IDS", "VERSION", "Action", "Resource"]

VERSION: Final = "v1"
"""The one version of every resource."""

RESERVED_IDS: Final = frozenset({"_bulk", "_count", "_schema", "_template", "_form"})
"""Words of the API's own paths: an entity with such an id could not be reached."""

Action = Literal["create", "update", "delete"]
"""What may be done to entities beside reading them."""

BULK_ACTIONS: Final[dict[str, Action]] = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "update",
    "DELETE": "delete",
}
"""What each verb of a bulk does."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One row of the table."""

    kind: str
    """Name of the kind: ``Route``."""
    plural: str
    """Name in ``/apis`` paths: ``routes``."""
    singular: str
    """Start of new ids, and a name the CLI accepts: ``route``."""
    group: str
    """Group in ``/apis`` paths: ``proxy.otoroshi.io``."""
    legacy_path: str | None
    """Where the ``/api`` dialect has it: ``/api/routes``; None = it has not, or has it in its own words."""
    store_kind: str
    """Kind under which the store keeps it."""
    cls: type[Document]
    """The struct of the entity."""
    template: Callable[[str], Document] | None
    """Makes the built-in template, given the name of the environment; None = there is none."""
    template_key: str
    """Its key in the ``templates`` of the global configuration."""
    typed_template: Callable[[str, str], Document] | None = None
    """Makes the template of the type that a request asks for, given the type and the name of the
    environment; None = its entities have no types."""
    actions: frozenset[Action] = frozenset({"create", "update", "delete"})
    """What may be done to its entities."""
    only_id: str | None = None
    """The one id there is, for a resource that can be neither created nor removed."""
    id_key: str = "id"
    """The key of its documents that holds the id."""
    canonical_id: Callable[[str], str] | None = None
    """Brings an id to the form in which its documents have it; None = every id is in it."""
    new_id: Callable[[], str] | None = None
    """Makes the id of a new entity; None = the singular name and a random uuid."""
    shown: Callable[[JsonObject], JsonObject] | None = None
    """Makes a stored document as it reads now; must not change its argument."""
    adorned: Callable[[JsonObject], JsonObject] | None = None
    """Adds what only the generic dialect answers; must not change its argument."""
    has_template_path: bool = True
    """Whether the legacy dialect answers its template."""
    legacy_template_path: str | None = None
    """Where it does so; None = at ``_template`` below its path."""
    legacy_template: Callable[[str], Document] | None = None
    """Makes the template of the legacy dialect, where it is another one."""
    has_own_kind: bool = False
    """Whether ``kind`` is a key of its documents too, under the one that the generic dialect answers."""
    lists_by_prefix: bool = False
    """Whether a GET of an id, under the full name of the resource, lists the ids that start so."""
    is_deprecated: bool = False
    """Whether Otoroshi wants its users to take something else."""
    admitted: Callable[[Store, Document | None, Document], Awaitable[None]] | None = None
    """Decides whether an entity may become another; the first is None when it is made. Raises `ApiError`,
    which refuses the write. An import of everything does not ask it."""
    enriched: Callable[[Any], Document] | None = None
    """Brings an entity in order before it is stored, and computes keys from others. May raise
    `PkiError`, which refuses the write. A request leaves it out by ``?enrich=false``."""

    @property
    def full_kind(self) -> str:
        """The ``kind`` of its answers: ``proxy.otoroshi.io/Route``."""
        return f"{self.group}/{self.kind}"
