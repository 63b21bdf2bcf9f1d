"""A state that is read and written over HTTP, as Otoroshi's memory store does: a resource, or an object of S3.

A resource is read once with GET (``Accept: application/x-ndjson``) and written with POST, with the headers that the
URL has. Only 404 and 204 say that there is no state yet: whatever else goes wrong at the start ends it, so that no
empty state is written over one that could not be read. (Otoroshi goes on with an empty one.)

Requests to S3 are signed by botocore (Signature Version 4), which also finds the keys where AWS' own tools do; they
are sent over Trio as all others. An object is written by one PUT, which replaces the older one whole.
"""

from __future__ import annotations

import importlib
import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx
import trio
from typing_extensions import override

from oto_trio.control.store.state_places import MOST_STATE_BYTES, StatePlace
from oto_trio.control.store.state_url import DEFAULT_REGION
from oto_trio.model.errors import StoreError, StoreFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oto_trio.control.store.state_url import HttpUrl, S3Url

__all__ = ["HttpPlace", "S3Place"]

NDJSON: Final = "application/x-ndjson"

MOST_ERROR_BYTES: Final = 65_536
"""Bytes of a refusal that are read."""

_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")


def _library(module: str) -> Any:
    """Import a part of botocore, which is an extra, and has no types.

    Raises:
        ImportError: It is not there.
    """
    return importlib.import_module(f"botocore.{module}")


class _Answer:
    """What a server answered."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class _WebPlace(StatePlace):
    """A state on a server."""

    def __init__(self, shown: str, every_s: float, timeout_s: float) -> None:
        super().__init__(shown, every_s)
        self._timeout_s = timeout_s

    @abstractmethod
    async def _ask(self, method: str, body: bytes | None) -> _Answer:
        """Send one request; `body` is None for reading."""

    async def _send(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes | None
    ) -> _Answer:
        """Send a request with these headers and no others, and read the answer.

        Raises:
            StoreError: There is none, or it is too large.
        """
        most = MOST_STATE_BYTES if method == "GET" else MOST_ERROR_BYTES
        request = httpx.Request(method, url, headers=list(headers), content=body)
        try:
            with trio.fail_after(self._timeout_s):
                async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113 (above)
                    answer = await client.send(request, stream=True, auth=None)
                    read = bytearray()
                    async for chunk in answer.aiter_bytes():
                        read += chunk
                        if len(read) > most:
                            break
                    await answer.aclose()
        except trio.TooSlowError as error:
            raise StoreError(
                f"{self.shown}: no answer within {self._timeout_s:g} s; look at the server, or raise "
                "timeout in the URL of `store`"
            ) from error
        except (httpx.HTTPError, OSError) as error:
            why = str(error) or type(error).__name__
            raise StoreError(
                f"{self.shown} cannot be reached: {why}; start the server, or correct the URL of `store`"
            ) from error
        if method == "GET" and len(read) > MOST_STATE_BYTES:
            raise StoreFileError(
                f"{self.shown} is larger than {MOST_STATE_BYTES} bytes; use a store in a server"
            )
        return _Answer(answer.status_code, bytes(read))

    def _refused(self, answer: _Answer, doing: str) -> StoreError:
        """Describe an answer that is none."""
        code = _CODE.search(answer.body)
        why = f" ({code[1].decode()})" if code is not None else ""
        return StoreError(
            f"{self.shown}: {doing} was answered with {answer.status}{why}; look at the server, and at "
            "the rights of whoever the URL of `store` names"
        )


class HttpPlace(_WebPlace):
    """A resource of HTTP."""

    def __init__(self, url: HttpUrl) -> None:
        super().__init__(url.shown, url.every_s, url.timeout_s)
        self._url = url

    @override
    async def load(self) -> bytes | None:
        answer = await self._ask("GET", None)
        if answer.status in {204, 404}:
            return None
        if answer.status != 200:
            raise self._refused(answer, "reading")
        return answer.body

    @override
    async def save(self, pieces: Iterable[bytes]) -> None:
        body = await trio.to_thread.run_sync(b"".join, pieces)
        answer = await self._ask(self._url.method, body)
        if not 200 <= answer.status < 300:
            raise self._refused(answer, "writing")

    @override
    async def _ask(self, method: str, body: bytes | None) -> _Answer:
        kind = ("Accept", NDJSON) if body is None else ("Content-Type", NDJSON)
        return await self._send(method, self._url.url, (*self._url.headers, kind), body)


class S3Place(_WebPlace):
    """An object in a bucket.

    Raises:
        ImportError: botocore, of the extra `s3`, is not there.
    """

    def __init__(self, url: S3Url) -> None:
        session = _library("session")
        super().__init__(url.shown, url.every_s, url.timeout_s)
        self._url = url
        self._session: Any = session.Session()
        self._credentials: Any = None
        # Keys may come from a server of the machine, and are renewed: that blocks. Who waits no longer lets the
        # thread go on, one at most.
        self._thread = trio.CapacityLimiter(1)

    @override
    async def load(self) -> bytes | None:
        answer = await self._ask("GET", None)
        if answer.status == 200:
            return answer.body
        code = _CODE.search(answer.body)
        if answer.status == 404 and code is not None and code[1] == b"NoSuchKey":
            return None
        raise self._refused(answer, "reading")

    @override
    async def save(self, pieces: Iterable[bytes]) -> None:
        body = await trio.to_thread.run_sync(b"".join, pieces)
        answer = await self._ask("PUT", body)
        if answer.status != 200:
            raise self._refused(answer, "writing")

    @override
    async def _ask(self, method: str, body: bytes | None) -> _Answer:
        try:
            with trio.fail_after(self._timeout_s):
                url, headers = await trio.to_thread.run_sync(
                    self._signed,
                    method,
                    body,
                    limiter=self._thread,
                    thread_name="oto-trio s3 keys",
                    abandon_on_cancel=True,
                )
        except trio.TooSlowError as error:
            raise StoreError(
                f"{self.shown}: no keys within {self._timeout_s:g} s; look at what gives them to this machine, "
                "or write them into the URL of `store`"
            ) from error
        return await self._send(method, url, headers.items(), body)

    def _signed(self, method: str, body: bytes | None) -> tuple[str, Mapping[str, str]]:
        """Sign a request. Runs in the thread.

        Raises:
            StoreError: There are no keys.
        """
        url, errors = self._url, _library("exceptions")
        try:
            if self._credentials is None:
                self._credentials = (
                    self._session.get_credentials()
                    if url.access is None
                    else _library("credentials").Credentials(url.access, url.secret)
                )
            region = url.region or self._session.get_config_variable("region") or DEFAULT_REGION
            if self._credentials is None:
                raise StoreError(
                    f"{self.shown}: there are no keys; write them into the URL of `store` "
                    "(s3://key:secret@bucket/…), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                )
            request: Any = _library("awsrequest").AWSRequest(
                method, self._address(region), data=body
            )
            if body is not None:
                request.headers["Content-Type"] = NDJSON
                if url.acl is not None:
                    request.headers["x-amz-acl"] = url.acl
            frozen = self._credentials.get_frozen_credentials()
            _library("auth").S3SigV4Auth(frozen, "s3", region).add_auth(request)
        except errors.BotoCoreError as error:
            raise StoreError(f"{self.shown}: no keys can be had: {error}; correct them") from error
        return str(request.url), dict(request.headers.items())

    def _address(self, region: str) -> str:
        """Return the URL of the object."""
        endpoint = self._url.endpoint or f"https://s3.{region}.amazonaws.com"
        key = quote(self._url.key, safe="/-_.~")
        if self._url.style == "path":
            return f"{endpoint}/{self._url.bucket}/{key}"
        scheme, _, host = endpoint.partition("://")
        return f"{scheme}://{self._url.bucket}.{host}/{key}"
