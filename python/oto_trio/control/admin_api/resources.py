"""The table of resources: one row for each kind of entity, and everything that differs between them.

To serve another kind of entity, add its struct to `oto_trio.model` and a row here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from oto_trio.model.api_key import (
    ApiKey,
    api_key_template,
    new_client_id,
    shown_api_key,
    with_bearer,
)
from oto_trio.model.backend import Backend, backend_template
from oto_trio.model.certificate import CERTIFICATES as CERTIFICATE_KIND
from oto_trio.model.certificate import Certificate, certificate_template
from oto_trio.model.client_validator import (
    CLIENT_VALIDATORS,
    ClientValidator,
    client_validator_template,
)
from oto_trio.model.data_exporter import (
    DATA_EXPORTERS,
    DataExporter,
    data_exporter_template,
)
from oto_trio.model.global_config import GLOBAL_CONFIG_ID, GlobalConfig, first_global_config
from oto_trio.model.ids import named_id
from oto_trio.model.jwt_verifier import JwtVerifier, jwt_verifier_template
from oto_trio.model.route import Route, route_template
from oto_trio.pki import enrich

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.model.document import Document, JsonObject

__all__ = [
    "API_KEYS",
    "CERTIFICATES",
    "GLOBAL_CONFIGS",
    "JWT_VERIFIERS",
    "LEGACY_RESOURCES",
    "RESERVED_IDS",
    "RESOURCES",
    "VERSION",
    "Resource",
    "find_resource",
]

VERSION: Final = "v1"
"""The one version of every resource."""

RESERVED_IDS: Final = frozenset({"_bulk", "_count", "_schema", "_template", "_form"})
"""Words of the API's own paths: an entity with such an id could not be reached."""


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
    legacy_path: str
    """Where the ``/api`` dialect has it: ``/api/routes``."""
    store_kind: str
    """Kind under which the store keeps it."""
    cls: type[Document]
    """The struct of the entity."""
    template: Callable[[str], Document]
    """Makes the built-in template, given the name of the environment."""
    template_key: str
    """Its key in the ``templates`` of the global configuration."""
    only_id: str | None = None
    """The one id there is, for a resource that can be neither created nor removed."""
    id_key: str = "id"
    """The key of its documents that holds the id."""
    new_id: Callable[[], str] | None = None
    """Makes the id of a new entity; None = the singular name and a random uuid."""
    shown: Callable[[JsonObject], JsonObject] | None = None
    """Makes a stored document as it reads now; must not change its argument."""
    adorned: Callable[[JsonObject], JsonObject] | None = None
    """Adds what only the generic dialect answers; must not change its argument."""
    has_template_path: bool = True
    """Whether the legacy dialect answers its template."""
    enriched: Callable[[Any], Document] | None = None
    """Brings an entity in order before it is stored, and computes keys from others. May raise
    `PkiError`, which refuses the write. A request leaves it out by ``?enrich=false``."""

    @property
    def full_kind(self) -> str:
        """The ``kind`` of its answers: ``proxy.otoroshi.io/Route``."""
        return f"{self.group}/{self.kind}"


GLOBAL_CONFIGS: Final = Resource(
    kind="GlobalConfig",
    plural="global-configs",
    singular="global-config",
    group="config.otoroshi.io",
    legacy_path="/api/globalconfig",
    store_kind="global-config",
    cls=GlobalConfig,
    template=lambda _env: first_global_config(),
    template_key="",
    only_id=GLOBAL_CONFIG_ID,
)

API_KEYS: Final = Resource(
    kind="Apikey",
    plural="apikeys",
    singular="apikey",
    group="apim.otoroshi.io",
    legacy_path="/api/apikeys",
    store_kind="apikeys",
    cls=ApiKey,
    template=lambda _env: api_key_template(),
    template_key="apikey",
    id_key="clientId",
    new_id=new_client_id,
    shown=lambda document: shown_api_key(document, time.time_ns() // 1_000_000),
    adorned=with_bearer,
)

CERTIFICATES: Final = Resource(
    kind="Certificate",
    plural="certificates",
    singular="certificate",
    group="pki.otoroshi.io",
    legacy_path="/api/certificates",
    store_kind=CERTIFICATE_KIND,
    cls=Certificate,
    template=lambda env: certificate_template(env=env),
    template_key="certificate",
    new_id=lambda: named_id("cert"),
    enriched=enrich,
)

JWT_VERIFIERS: Final = Resource(
    kind="JwtVerifier",
    plural="jwt-verifiers",
    singular="jwt-verifier",
    group="security.otoroshi.io",
    legacy_path="/api/verifiers",
    store_kind="jwt-verifiers",
    cls=JwtVerifier,
    template=lambda _env: jwt_verifier_template(),
    template_key="verifier",
    new_id=lambda: named_id("jwt_verifier"),
)

_CLIENT_VALIDATORS: Final = Resource(
    kind="ClientValidator",
    plural="client-validators",
    singular="client-validator",
    group="pki.otoroshi.io",
    legacy_path="/api/client-validators",
    store_kind=CLIENT_VALIDATORS,
    cls=ClientValidator,
    template=lambda env: client_validator_template(env=env),
    template_key="",
    has_template_path=False,
)

RESOURCES: Final[tuple[Resource, ...]] = (
    Resource(
        kind="Route",
        plural="routes",
        singular="route",
        group="proxy.otoroshi.io",
        legacy_path="/api/routes",
        store_kind="routes",
        cls=Route,
        template=lambda env: route_template(env=env),
        template_key="route",
    ),
    Resource(
        kind="Backend",
        plural="backends",
        singular="backend",
        group="proxy.otoroshi.io",
        legacy_path="/api/backends",
        store_kind="backends",
        cls=Backend,
        template=lambda env: backend_template(env=env),
        template_key="backend",
    ),
    API_KEYS,
    CERTIFICATES,
    JWT_VERIFIERS,
    Resource(
        kind="DataExporter",
        plural="data-exporters",
        singular="data-exporter",
        group="events.otoroshi.io",
        legacy_path="/api/data-exporter-configs",
        store_kind=DATA_EXPORTERS,
        cls=DataExporter,
        template=lambda env: data_exporter_template(env=env),
        template_key="dataExporter",
        new_id=lambda: named_id("data_exporter"),
    ),
    GLOBAL_CONFIGS,
)
"""Every resource, in the order in which ``/apis/entities`` lists them."""

LEGACY_RESOURCES: Final = (*RESOURCES, _CLIENT_VALIDATORS)
"""Every resource of the legacy dialect; Otoroshi has some there only."""


def find_resource(group: str, version: str, name: str) -> Resource | None:
    """Find a resource by the words of a path.

    Args:
        group: Its group, or ``any`` or ``all``.
        version: ``v1``, or ``any`` or ``all``.
        name: Its plural name or its kind.
    """
    if version not in (VERSION, "any", "all"):
        return None
    for resource in RESOURCES:
        if group in (resource.group, "any", "all") and name in (resource.plural, resource.kind):
            return resource
    return None
