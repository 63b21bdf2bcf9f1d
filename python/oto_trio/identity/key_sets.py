"""Fetches the key sets (JWKS) of token issuers, for native steps that wait for one.

Theory of operation
    The engine keeps the sets that were fetched, each for the settings it was fetched with, says when one
    is needed and refuses to ask more than once in ten seconds (``rust/oto-core/src/jose/key_sets.rs``).
    What is left for Python is the call. Exchanges that need the same set at the same time share one call: the first
    makes it, the others wait for its end and look again. When the first one's client leaves, the call is
    cancelled with it, and one of the others makes its own.

Bounds
    One call with the same settings at a time; `MAX_BODY_BYTES` of body; the settings' ``timeout`` for the whole
    call, `MAX_TIMEOUT_S` at most. Redirects are not followed: an issuer's address is its address.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_TIMEOUT_S",
    "KeySetCall",
    "KeySetFetcher",
    "KeySetUser",
    "fetcher",
]

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 512 * 1024
"""Longest key set that is read."""

MAX_TIMEOUT_S: Final = 30.0
"""Longest call, whatever the settings say."""


class KeySetCall(msgspec.Struct, frozen=True):
    """How a key set is fetched: part of Otoroshi's ``JWKSAlgoSettings``.

    Args:
        url: Where it is.
        timeout: Milliseconds for the whole call.
        headers: Fields to send.
        proxy: Otoroshi's proxy object, ``host`` and ``port`` of which are used.
        mtls: The TLS settings: ``trustAll`` or ``loose`` switch the check of the server's certificate
            off, which is logged.
    """

    url: str
    timeout: float = 2000.0
    headers: dict[str, str] = {}
    proxy: dict[str, Any] | None = None
    mtls: dict[str, Any] | None = msgspec.field(default=None, name="mtlsConfig")


class KeySetUser(Protocol):
    """The exchange that waits."""

    def put_key_set(self, wanted: str, body: bytes | None, now: float, /) -> None:
        """Keep a set, or note that it could not be fetched.

        Raises:
            ValueError: It is no key set; noted as a failure.
        """
        ...


class KeySetFetcher:
    """Fetches key sets. One per Trio run; see `fetcher`.

    Args:
        client: Makes the HTTP client of one call; a test gives its own.
    """

    def __init__(self, client: Callable[[KeySetCall], httpx.AsyncClient] | None = None) -> None:
        self._client = client or _client
        self._under_way: dict[str, trio.Event] = {}
        self.calls = 0
        """Calls made since the start."""

    async def bring(self, exchange: KeySetUser, wanted: str) -> None:
        """Fetch a set for an exchange, or wait for who is fetching it already.

        Never raises for what the other side does: a failure is logged and noted in the engine, whose
        step then decides without the set.

        Args:
            exchange: Who waits; the set is kept through it, for all.
            wanted: The settings as JSON.

        Cancellation: the call ends; who waited for it makes its own.
        """
        try:
            call = msgspec.json.decode(wanted, type=KeySetCall, strict=False)
        except msgspec.ValidationError as error:
            logger.warning("the settings of a key set cannot be used: %s", error)
            exchange.put_key_set(wanted, None, trio.current_time())
            return
        under_way = self._under_way.get(wanted)
        if under_way is not None:
            await under_way.wait()
            return
        self._under_way[wanted] = done = trio.Event()
        try:
            body = await self._fetch(call)
            try:
                exchange.put_key_set(wanted, body, trio.current_time())
            except ValueError as error:
                logger.warning("the key set at %s cannot be used: %s", _shown(call.url), error)
        finally:
            del self._under_way[wanted]
            done.set()

    async def _fetch(self, call: KeySetCall) -> bytes | None:
        """Make the call; None when it failed."""
        import httpx  # noqa: PLC0415 (most workers fetch nothing, and it is slow to import)

        self.calls += 1
        timeout_s = min(max(call.timeout / 1000, 0.001), MAX_TIMEOUT_S)
        try:
            with trio.fail_after(timeout_s):
                return await self._read(call)
        except trio.TooSlowError:
            reason = f"no answer within {timeout_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
        logger.warning("the key set at %s could not be fetched: %s", _shown(call.url), reason)
        return None

    async def _read(self, call: KeySetCall) -> bytes:
        """Make the call and read the body.

        Raises:
            ValueError: The answer is none that can be used.
        """
        # Uncompressed: a bomb could otherwise be longer than its bound before it is noticed.
        headers = {"Accept-Encoding": "identity", **call.headers}
        async with (
            self._client(call) as client,
            client.stream("GET", call.url, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise ValueError(f"the answer's status is {response.status_code}, not 200")
            body, is_longer = bytearray(), False
            # Who leaves the loop leaves generators inside of httpx unclosed. What is too long is
            # therefore ended where its next piece is waited for: that ends them all.
            with trio.CancelScope() as reading:
                async for chunk in response.aiter_raw():
                    if len(body) + len(chunk) > MAX_BODY_BYTES:
                        is_longer = True
                        reading.cancel()
                    else:
                        body += chunk
            if is_longer:
                raise ValueError(f"the answer is longer than {MAX_BODY_BYTES} bytes")
            return bytes(body)


def _client(call: KeySetCall) -> httpx.AsyncClient:
    """Make the client of one call: nothing from the environment, no redirects, no cookies kept."""
    import httpx  # noqa: PLC0415 (as above)

    mtls, proxy = call.mtls or {}, call.proxy or {}
    insecure = bool(mtls.get("mtls")) and bool(mtls.get("trustAll") or mtls.get("loose"))
    if insecure:
        logger.warning(
            "the key set at %s is fetched without a check of the server's certificate, as its "
            "settings say",
            _shown(call.url),
        )
    address = f"http://{proxy['host']}:{proxy.get('port', 80)}" if proxy.get("host") else None
    return httpx.AsyncClient(
        verify=not insecure,
        proxy=address,
        trust_env=False,
        follow_redirects=False,
        timeout=MAX_TIMEOUT_S,
    )


def _shown(url: str) -> str:
    """Return an address as logs may show it: without user and query, which may hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


_FETCHER: Final[trio.lowlevel.RunVar[KeySetFetcher]] = trio.lowlevel.RunVar("oto-trio-key-sets")


def fetcher() -> KeySetFetcher:
    """Return the fetcher of this Trio run; made at the first call."""
    try:
        return _FETCHER.get()
    except LookupError:
        made = KeySetFetcher()
        _FETCHER.set(made)
        return made
