"""Rows of who may call, and how that is proved: ``security.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.ids import named_id
from oto_trio.model.jwt_verifier import JwtVerifier, jwt_verifier_template

__all__ = ["JWT_VERIFIERS"]

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
