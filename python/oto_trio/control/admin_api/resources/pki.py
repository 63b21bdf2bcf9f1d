"""Rows of certificates and of what judges them: ``pki.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.certificate import CERTIFICATES as CERTIFICATE_KIND
from oto_trio.model.certificate import Certificate, certificate_template
from oto_trio.model.client_validator import CLIENT_VALIDATORS as CLIENT_VALIDATOR_KIND
from oto_trio.model.client_validator import ClientValidator, client_validator_template
from oto_trio.model.ids import named_id
from oto_trio.pki import enrich

__all__ = ["CERTIFICATES", "CLIENT_VALIDATORS"]

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

CLIENT_VALIDATORS: Final = Resource(
    kind="ClientValidator",
    plural="client-validators",
    singular="client-validator",
    group="pki.otoroshi.io",
    legacy_path="/api/client-validators",
    store_kind=CLIENT_VALIDATOR_KIND,
    cls=ClientValidator,
    template=lambda env: client_validator_template(env=env),
    template_key="",
    has_template_path=False,
)
"""Otoroshi has it in the legacy dialect only."""
