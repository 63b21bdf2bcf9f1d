"""The PKI endpoints, ``/api/pki/*``: keys, authorities, certificates, signing requests.

Paths, bodies and answers are Otoroshi's, ``_letencrypt`` with its spelling too. Refusals are
``{"error": "a sentence"}``. Making keys happens in threads, a few at once (`oto_trio.pki.threads`).
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.bodies import decode_json, read_body
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.rights import placed
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.control.certificates import CertificateStore, certificate_of, certificate_of_pem
from oto_trio.model.certificate import Certificate, write_certificate
from oto_trio.model.document import inspect_document
from oto_trio.model.errors import EntityError
from oto_trio.pki import (
    CsrQuery,
    PkiError,
    build_request,
    certificate_data,
    enrich,
    in_pki_thread,
    issue,
    sign_request,
)
from oto_trio.pki.pem import read_certificates, read_request
from oto_trio.pki.pkcs12 import read_pkcs12
from oto_trio.pki.queries import LONGEST_MS, YEAR_MS, read_csr_query, read_key_query

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.model.document import JsonObject
    from oto_trio.pki import Authority

__all__ = ["PkiApi"]

Endpoint = Callable[["Request"], Awaitable[Response]]

KEYPAIR_MS: Final = 10 * YEAR_MS
"""How long the certificate around a bare key pair is valid."""

_EPOCH_MS: Final = 1_288_834_974_657
"""Begin of the time in snowflake ids."""


class PkiApi:
    """Endpoints of the PKI.

    Args:
        entities: What they read and write.
        aia_base: Base URL under which issuers are published; None leaves it out of certificates.
    """

    def __init__(self, entities: Entities, *, aia_base: str | None = None) -> None:
        self._entities = entities
        self._certificates = CertificateStore(entities.store)
        self._aia_base = aia_base

    def paths(self) -> list[Path]:
        """Give the paths."""
        actions: list[tuple[str, Endpoint]] = [
            ("keys", self._key),
            ("cas", self._root),
            ("cas/{ca}/cas", self._sub_authority),
            ("cas/{ca}/certs", self._issued),
            ("cas/{ca}/certs/_sign", self._signed),
            ("certs", self._self_signed),
            ("certs/_letencrypt", self._ordered),
            ("certs/_p12", self._pkcs12),
            ("certs/_valid", self._valid),
            ("certs/_data", self._data),
            ("csrs", self._request),
        ]
        return [
            Path(f"/api/pki/{path}", _safely(action), methods=["POST"]) for path, action in actions
        ]

    # ------------------------------------------------------------------- what is made and kept

    async def _key(self, request: Request) -> Response:
        """``POST /api/pki/keys``: a key pair, in a certificate of its own."""
        key = read_key_query(await _json(request))
        subject = f"CN=keypair-{_snowflake()}"
        query = CsrQuery(key=key, subject=subject, duration=KEYPAIR_MS)
        return await self._made(request, query, None, keypair=True)

    async def _root(self, request: Request) -> Response:
        """``POST /api/pki/cas``: an authority that signed itself."""
        return await self._made(request, await _csr_query(request, is_authority=True), None)

    async def _sub_authority(self, request: Request) -> Response:
        """``POST /api/pki/cas/:ca/cas``: an authority below another."""
        above = await self._authority(request.path_params["ca"])
        return await self._made(request, await _csr_query(request, is_authority=True), above)

    async def _issued(self, request: Request) -> Response:
        """``POST /api/pki/cas/:ca/certs``: a certificate signed by an authority."""
        above = await self._authority(request.path_params["ca"])
        return await self._made(request, await _csr_query(request, is_authority=False), above)

    async def _self_signed(self, request: Request) -> Response:
        """``POST /api/pki/certs``: a certificate that signed itself."""
        return await self._made(request, await _csr_query(request, is_authority=False), None)

    async def _made(
        self,
        request: Request,
        query: CsrQuery,
        above: tuple[Certificate, Authority] | None,
        **more: Any,
    ) -> Response:
        """Make a certificate, keep it unless asked not to, and answer with it."""
        options = read_write_options(request)
        keeps = request.query_params.get("persist") != "false"
        if keeps:
            await self._entities.check_writable()
        issued = await in_pki_thread(
            issue,
            query,
            None if above is None else above[1],
            now=datetime.now(UTC),
            aia_base=self._aia_base,
        )
        ca_ref = None if above is None else above[0].id
        certificate = placed(certificate_of(issued, query, ca_ref=ca_ref, **more))
        headers: dict[str, str] = {}
        if keeps:
            revision = await self._certificates.save(certificate)
            headers = await settle(self._entities.gateway, options, revision)
        body = {**write_certificate(certificate), "certId": certificate.id}
        return _answer(request, body, headers=headers)

    async def _authority(self, reference: str) -> tuple[Certificate, Authority]:
        """Find the authority that a path names.

        Raises:
            ApiError: There is none.
        """
        found = await self._certificates.authority(reference)
        if found is None:
            raise ApiError(404, "ca not found !", "there is no certificate with this id or serial")
        return found

    # ------------------------------------------------------------------- what is only answered

    async def _request(self, request: Request) -> Response:
        """``POST /api/pki/csrs``: a key and a signing request; nothing is kept."""
        reference = request.query_params.get("ca")
        if reference is not None:
            await self._authority(reference)
        query = read_csr_query(await _json(request))
        return _answer(request, await in_pki_thread(build_request, query))

    async def _signed(self, request: Request) -> Response:
        """``POST /api/pki/cas/:ca/certs/_sign``: the certificate for a request; nothing is kept."""
        _, authority = await self._authority(request.path_params["ca"])
        duration_ms = _duration_ms(request)
        asked = read_request(await _text(request))
        signed = await in_pki_thread(
            sign_request, asked, authority, duration_ms=duration_ms, now=datetime.now(UTC)
        )
        return _answer(request, signed)

    async def _valid(self, request: Request) -> Response:
        """``POST /api/pki/certs/_valid``: can a certificate (JSON, or PEM) be used?"""
        text = await _text(request)
        try:
            if text.lstrip().startswith("{"):
                is_valid = await self._is_valid_entity(decode_json(text.encode()))
            else:
                now = datetime.now(UTC)
                is_valid = all(
                    c.not_valid_before_utc <= now <= c.not_valid_after_utc
                    for c in read_certificates(text)
                )
        except PkiError:
            is_valid = False
        return _answer(request, {"valid": is_valid})

    async def _is_valid_entity(self, raw: object) -> bool:
        """Tell whether chain and key of an entity can be read, and fit."""
        if isinstance(raw, dict):
            raw = {"id": "--", "domain": "--", **cast("JsonObject", raw)}
        entity, _ = inspect_document(Certificate, raw)
        return entity is not None and (await in_pki_thread(enrich, entity)).valid

    async def _data(self, request: Request) -> Response:
        """``POST /api/pki/certs/_data``: what the first certificate of a PEM text says."""
        return _answer(request, certificate_data(read_certificates(await _text(request))[0]))

    async def _pkcs12(self, request: Request) -> Response:
        """``POST /api/pki/certs/_p12?password=``: keep the key and chain of a PKCS#12 file."""
        options = read_write_options(request)
        await self._entities.check_writable()
        content = await read_body(request)
        chain, key = await in_pki_thread(read_pkcs12, content, request.query_params.get("password"))
        certificate = placed(await in_pki_thread(certificate_of_pem, chain, key))
        revision = await self._certificates.save(certificate)
        headers = await settle(self._entities.gateway, options, revision)
        return _answer(request, {"done": True}, headers=headers)

    async def _ordered(self, request: Request) -> Response:
        """``POST /api/pki/certs/_letencrypt``: nothing orders certificates by ACME yet."""
        await _json(request)
        raise ApiError(
            400,
            "certificates are not ordered by ACME yet: make one with POST /api/pki/cas/:ca/certs, "
            "or import what another client ordered",
            "not served",
        )


def _safely(action: Endpoint) -> Endpoint:
    """Make an endpoint that puts refusals into form."""

    async def endpoint(request: Request) -> Response:
        try:
            return await action(request)
        except ApiError as error:
            return _answer(request, {"error": _sentence(error)}, status=error.answer_status)
        except (PkiError, EntityError) as error:
            return _answer(request, {"error": error.message}, status=400)

    return endpoint


def _sentence(error: ApiError) -> str:
    """Say a refusal in one sentence: those of these paths are one, others have it as description."""
    return error.error if " " in error.error else error.message


def _answer(
    request: Request,
    value: JsonObject,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """Make an answer: compact, without ``kind``."""
    return answer(request, value, status=status, headers=headers, pretty_by_default=False)


async def _json(request: Request) -> object:
    """Read a JSON body; an empty one stands for an empty object."""
    text = await read_body(request)
    value: object = decode_json(text) if text.strip() else {}
    return value


async def _text(request: Request) -> str:
    """Read a body that is PEM, or JSON."""
    return (await read_body(request)).decode("utf-8", "replace")


async def _csr_query(request: Request, *, is_authority: bool) -> CsrQuery:
    """Read the certificate that is asked for; the path says whether it is an authority."""
    raw = await _json(request)
    if isinstance(raw, dict):
        raw = {**cast("JsonObject", raw), "ca": is_authority}
    return read_csr_query(raw)


def _duration_ms(request: Request) -> int:
    """Read ``?duration=``.

    Raises:
        ApiError: It is no number of ms that a certificate may be valid.
    """
    text = request.query_params.get("duration", str(YEAR_MS))
    digits = text.isascii() and text.isdigit() and len(text) < 16
    if not digits or not 1000 <= int(text) <= LONGEST_MS:
        message = f"duration={text[:40]!r} is no number of ms from 1000 to {LONGEST_MS}"
        raise ApiError(400, message, message)
    return int(text)


def _snowflake() -> str:
    """Make an id of time and chance, as long as Otoroshi's."""
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    return str((now_ms - _EPOCH_MS) << 22 | secrets.randbits(22))
