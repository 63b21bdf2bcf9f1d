"""Legacy paths of certificates: renewal, bundles, and the list of key pairs.

The certificates themselves are a resource like any other (`resources`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer, list_answer
from oto_trio.control.admin_api.bodies import read_body
from oto_trio.control.admin_api.listing import read_list_query
from oto_trio.control.admin_api.refusals import ApiError, refused_entity
from oto_trio.control.admin_api.resources import CERTIFICATES
from oto_trio.control.admin_api.rights import placed
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.control.certificates import CertificateStore, certificate_of_pem
from oto_trio.control.jobs.renew_certificates import renew
from oto_trio.model.certificate import write_certificate
from oto_trio.model.errors import ConflictError
from oto_trio.pki import PkiError, in_pki_thread

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.model.document import JsonObject

__all__ = ["CertificatePaths"]

Endpoint = Callable[["Request"], Awaitable[Response]]


class CertificatePaths:
    """Endpoints of the legacy dialect that only certificates have.

    Args:
        entities: What they read and write.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._certificates = CertificateStore(entities.store)

    def paths(self) -> list[Path]:
        """Give the paths; they must come before those of the resource itself."""
        base = "/api/certificates"
        return [
            Path(base, self._safely(self._list), methods=["GET"]),
            Path(f"{base}/_bundle", self._safely(self._bundle), methods=["POST"]),
            Path(f"{base}/{{id}}/_renew", self._safely(self._renew), methods=["POST"]),
        ]

    async def _bundle(self, request: Request) -> Response:
        """``POST /api/certificates/_bundle``: keep a PEM text with chain and key."""
        await self._entities.check_writable()
        text = (await read_body(request)).decode("utf-8", "replace")
        options = read_write_options(request)
        certificate = placed(await in_pki_thread(certificate_of_pem, text))
        revision = await self._certificates.save(certificate)
        headers = await settle(self._entities.gateway, options, revision)
        return self._answer(request, write_certificate(certificate), status=201, headers=headers)

    async def _renew(self, request: Request) -> Response:
        """``POST /api/certificates/:id/_renew``: renew it now, due or not."""
        await self._entities.check_writable()
        found = await self._certificates.get(request.path_params["id"])
        if found is None:
            raise ApiError(404, "not_found", "entity not found")
        options = read_write_options(request)
        known = await self._certificates.all()
        try:
            new, revision = await renew(found, self._certificates, known)
        except ConflictError:
            raise ApiError(
                409, "conflict", "others changed this certificate meanwhile; try again"
            ) from None
        headers = await settle(self._entities.gateway, options, revision)
        return self._answer(request, write_certificate(new), headers=headers)

    async def _list(self, request: Request) -> Response:
        """``GET /api/certificates``: with ``?keypair=true``, only the key pairs."""
        query = read_list_query(request.query_params)
        if request.query_params.get("keypair") == "true":
            query = msgspec.structs.replace(query, equal=(*query.equal, (("keypair",), "true")))
        listed = await self._entities.list(CERTIFICATES, query)
        headers = {
            "X-Count": str(listed.total),
            "X-Offset": str(query.offset),
            "X-Page": str(query.page),
            "X-Page-Size": str(query.page_size),
        }
        return await list_answer(
            request, listed.documents, headers=headers, pretty_by_default=False
        )

    def _safely(self, action: Endpoint) -> Endpoint:
        """Make an endpoint that puts refusals into form."""

        async def endpoint(request: Request) -> Response:
            try:
                return await action(request)
            except ApiError as error:
                return self._answer(request, error.body(), status=error.answer_status)
            except PkiError as error:
                refusal = refused_entity([error.problem])
                return self._answer(request, refusal.body(), status=refusal.answer_status)

        return endpoint

    def _answer(
        self,
        request: Request,
        value: JsonObject,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """Make an answer: compact, without ``kind``."""
        return answer(request, value, status=status, headers=headers, pretty_by_default=False)
