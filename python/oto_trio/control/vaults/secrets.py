"""Keeps the secrets that entities use, and renews them.

Theory of operation
    Documents reach the workers with their secrets in place, everybody else sees the references. Who sends
    documents asks for all the secrets of a batch together (`Subscription.resolve`), which waits for those
    that are not known yet; then the requests of clients never wait for a vault. A subscription remembers
    which documents use which secrets, and is told when one has become another, to send these documents again.

    One task (`Vaults.run`) looks for secrets that are due: in use, and older than their time to live less
    `EARLY_S`. What a vault refuses or does not answer stays as it was, whatever its age, and is asked for
    again after the time to live of errors; a secret that is not there any more becomes
    ``not-found-`` and what nobody can guess.
    A vault that does not answer is not asked for its other secrets meanwhile, so that a thousand of them
    cost one timeout.

Bounds
    Of each document see `references`. A read: `VaultBounds.timeout_s`; reads at once: `parallel`; a secret:
    `MAX_SECRET_BYTES`. Secrets in use stay; others are forgotten when there are more than `cached`.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from oto_trio.control.vaults.base import MAX_SECRET_BYTES, KeptProvider, SecretError
from oto_trio.control.vaults.references import (
    MAX_EXPRESSIONS,
    MAX_INSERTED_BYTES,
    MAX_REFERENCES,
    NOT_FOUND,
    fill,
    has_references,
    parse_reference,
    references_of,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from oto_trio.control.vaults.base import SecretProvider

__all__ = ["Subscription", "VaultBounds", "Vaults"]

logger = logging.getLogger(__name__)

EARLY_S: Final = 20.0
"""A secret is renewed so long before its time is over, as in Otoroshi; never before half of it."""

LOOK_EVERY_S: Final = 10.0
"""Seconds between two looks for secrets that are due, and the age at which those are that cost nothing."""

CLOSED_KINDS: Final = frozenset({"apikeys", "jwt-verifiers"})
"""Kinds that hold little but what lets callers in: no reference stays in them, even if none is replaced elsewhere."""

_MOST_TURNS: Final = 4096


class VaultBounds(msgspec.Struct, frozen=True):
    """How secrets are read and kept."""

    ttl_s: float = 300.0
    """How long a secret holds."""
    error_ttl_s: float = 20.0
    """How long the failure to read one holds."""
    cached: int = 10_000
    """Secrets kept at most, those in use apart."""
    timeout_s: float = 10.0
    """Longest time for one read."""
    parallel: int = 4
    """Reads at once."""


class _Secret(msgspec.Struct):
    """What is known of one secret."""

    value: str | None
    read_at: float
    error: str | None = None
    """Why the last read failed; the value is then that of an earlier one, or None."""


class Vaults:
    """The secrets of a gateway.

    Args:
        providers: The vaults by name.
        bounds: How they are read.
        is_enabled: Whether references are replaced at all.
    """

    def __init__(
        self,
        providers: Mapping[str, SecretProvider],
        bounds: VaultBounds | None = None,
        *,
        is_enabled: bool = True,
    ) -> None:
        self.is_enabled = is_enabled
        """Whether references are replaced; else they stay as they are written."""
        self._providers = providers
        self._bounds = bounds or VaultBounds()
        self._limiter = trio.CapacityLimiter(self._bounds.parallel)
        self._known: dict[str, _Secret] = {}
        self._users: Counter[str] = Counter()
        self._under_way: dict[str, trio.Event] = {}
        self._down_until: dict[str, float] = {}
        self._subscriptions: set[Subscription] = set()
        self._turns: dict[str, int] = {}

    @contextmanager
    def subscribe(self) -> Generator[Subscription]:
        """Begin to follow the secrets of some documents; it ends with the block."""
        subscription = Subscription(self)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            subscription.clear()

    async def run(self) -> None:
        """Renew the secrets in use, and what their vaults keep, until cancelled."""
        async with trio.open_nursery() as nursery:
            for name, provider in self._providers.items():
                if isinstance(provider, KeptProvider):
                    nursery.start_soon(self._keep_up, name, provider)
            await self._renew()

    async def _keep_up(self, name: str, provider: KeptProvider) -> None:
        try:
            await provider.keep()
        except Exception as error:  # noqa: BLE001
            # A fault of a provider must not end the gateway. Its text may hold a secret.
            logger.warning(
                "what the vault %s keeps is renewed no more: %s", name, type(error).__name__
            )

    async def _renew(self) -> None:
        bounds = self._bounds
        every = max(min(LOOK_EVERY_S, bounds.ttl_s / 4, bounds.error_ttl_s / 2), 0.05)
        while True:
            await trio.sleep(every)
            now = trio.current_time()
            due = [ref for ref in self._users if self._is_due(ref, now)]
            await self._read_all(due)

    async def fetch(self, references: Iterable[str]) -> dict[str, str | None]:
        """Return secrets by their references, None for what cannot be had; reads what is not known.

        Cancellation: reads end; what was read is kept.
        """
        wanted = list(dict.fromkeys(references))
        now = trio.current_time()
        await self._read_all([ref for ref in wanted if self._is_over(ref, now)])
        found = {ref: self._known[ref].value for ref in wanted}
        self._forget()
        return found

    def next_turn(self, name: str, count: int) -> int:
        """Return whose turn it is of `count` references that take turns."""
        if len(self._turns) >= _MOST_TURNS:
            self._turns.clear()
        turn = self._turns.get(name, 0)
        self._turns[name] = turn + 1
        return turn % count

    # ------------------------------------------------------------------------- when

    def _is_over(self, reference: str, now: float) -> bool:
        """Tell whether a secret must be read before it is used."""
        known = self._known.get(reference)
        if known is None:
            return True
        bounds = self._bounds
        return now - known.read_at >= (bounds.ttl_s if known.error is None else bounds.error_ttl_s)

    def _is_due(self, reference: str, now: float) -> bool:
        """Tell whether a secret in use shall be read again."""
        known = self._known.get(reference)
        if known is None or known.error is not None:
            return self._is_over(reference, now)
        ttl_s = self._bounds.ttl_s
        lasts = max(ttl_s - EARLY_S, ttl_s / 2)
        provider = self._providers.get(_vault_of(reference))
        if provider is not None and provider.is_near:
            lasts = min(lasts, LOOK_EVERY_S)
        return now - known.read_at >= lasts

    def _forget(self) -> None:
        """Forget the oldest secrets that nobody uses, when there are too many."""
        too_many = len(self._known) - self._bounds.cached
        if too_many > 0:
            unused = [ref for ref in self._known if ref not in self._users]
            for reference in unused[:too_many]:
                del self._known[reference]

    # ------------------------------------------------------------------------- reading

    async def _read_all(self, references: Sequence[str]) -> None:
        if not references:
            await trio.lowlevel.checkpoint()
            return
        # Tasks are few, whatever there is to read: each takes the next.
        waiting = iter(references)
        async with trio.open_nursery() as nursery:
            for _ in range(min(len(references), self._bounds.parallel)):
                nursery.start_soon(self._read_some, waiting)

    async def _read_some(self, references: Iterable[str]) -> None:
        for reference in references:
            under_way = self._under_way.get(reference)
            if under_way is None:
                await self._read(reference)
            else:
                await under_way.wait()
                if reference not in self._known:  # whoever read it was cancelled
                    await self._read(reference)

    async def _read(self, reference: str) -> None:
        """Read one secret and keep it, or why it cannot be had."""
        done = self._under_way[reference] = trio.Event()
        try:
            async with self._limiter:
                try:
                    value, error = await self._ask(reference), None
                except SecretError as failure:
                    value, error = None, failure
            self._keep(reference, value, error)
        finally:
            if self._under_way.get(reference) is done:
                del self._under_way[reference]
            done.set()

    async def _ask(self, reference: str) -> str:
        """Ask the provider of a secret.

        Raises:
            SecretError: It cannot be had.
        """
        parsed = parse_reference(reference)
        provider = self._providers.get(parsed.vault)
        if provider is None:
            raise SecretError("vault-not-found", "no vault of this name is set up")
        if trio.current_time() < self._down_until.get(parsed.vault, 0.0):
            raise SecretError("secret-read-error", "the vault does not answer", is_down=True)
        timeout_s = self._bounds.timeout_s
        try:
            with trio.fail_after(timeout_s):
                value = await provider.read(parsed.path, parsed.options)
        except trio.TooSlowError:
            failure = SecretError(
                "secret-read-timeout", f"no answer within {timeout_s:g} s", is_down=True
            )
            self._note_down(parsed.vault, failure)
            raise failure from None
        except SecretError as error:
            if error.is_down:
                self._note_down(parsed.vault, error)
            raise
        except Exception as error:  # noqa: BLE001
            # A fault of a provider must not end the workers' feeders. Its text may hold a secret.
            raise SecretError("secret-read-error", f"it fails: {type(error).__name__}") from None
        if self._down_until.pop(parsed.vault, None) is not None:
            logger.info("the vault %s answers again", parsed.vault)
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise SecretError("secret-read-error", "the secret is no text") from None
        if size > MAX_SECRET_BYTES:
            raise SecretError("secret-read-error", f"the secret is over {MAX_SECRET_BYTES} bytes")
        return value

    def _note_down(self, vault: str, error: SecretError) -> None:
        """Note that a vault does not answer, and log it once."""
        if vault not in self._down_until:
            logger.warning(
                "the vault %s does not answer (%s); secrets that were read stay in use",
                vault,
                error,
            )
        self._down_until[vault] = trio.current_time() + self._bounds.error_ttl_s

    def _keep(self, reference: str, value: str | None, error: SecretError | None) -> None:
        """Keep what was read, and tell who uses it when it has become another."""
        before = self._known.get(reference)
        if error is not None and not error.is_definite and before is not None:
            value = before.value
        reason = None if error is None else str(error)
        self._known[reference] = _Secret(value, trio.current_time(), reason)
        if error is not None and not error.is_down and (before is None or before.error != reason):
            what = "the last value stays in use" if value is not None else f"it is {NOT_FOUND}-…"
            logger.warning("the secret %s cannot be read: %s; %s", _shown(reference), error, what)
        if before is not None and before.value != value:
            for subscription in self._subscriptions:
                subscription.tell_nowait(reference)

    # ------------------------------------------------------------------------- for subscriptions

    def use(self, references: Iterable[str]) -> None:
        """Count one more user of each. For `Subscription` only."""
        self._users.update(references)

    def leave(self, references: Iterable[str]) -> None:
        """Count one user of each less. For `Subscription` only."""
        for reference in references:
            self._users[reference] -= 1
            if self._users[reference] <= 0:
                del self._users[reference]


class Subscription:
    """Who sends documents with their secrets, and sends them again when these change.

    Args:
        vaults: Where the secrets are; see `Vaults.subscribe`.
    """

    def __init__(self, vaults: Vaults) -> None:
        self._vaults = vaults
        self._used: dict[tuple[str, str], tuple[str, ...]] = {}
        self._changed: set[str] = set()
        self._news = trio.Event()

    async def prepare(self, documents: Iterable[tuple[str, str, bytes | None]]) -> Prepared:
        """Note what documents use and read their secrets.

        Args:
            documents: Kind, id and JSON text of each; None when it is gone.

        Returns:
            What fills each of them.

        Cancellation: reads end; what the documents use is noted.
        """
        wanted: dict[str, None] = {}
        for kind, entity_id, document in documents:
            used: tuple[str, ...] = ()
            if document is not None and has_references(document) and self._vaults.is_enabled:
                used = references_of(document)
            self._note((kind, entity_id), used)
            wanted.update(dict.fromkeys(used))
        return Prepared(self._vaults, await self._vaults.fetch(wanted) if wanted else {})

    async def changed(self) -> list[tuple[str, str]]:
        """Wait until secrets have become others; return kind and id of the documents that use them.

        Cancellation: a checkpoint; nothing is lost.
        """
        while True:
            while not self._changed:
                await self._news.wait()
            changed, self._changed, self._news = self._changed, set(), trio.Event()
            keys = [key for key, used in self._used.items() if not changed.isdisjoint(used)]
            if keys:
                return keys

    def tell_nowait(self, reference: str) -> None:
        """Note that a secret has become another. For `Vaults` only."""
        self._changed.add(reference)
        self._news.set()

    def clear(self) -> None:
        """Use nothing any more. For `Vaults` only."""
        for used in self._used.values():
            self._vaults.leave(used)
        self._used.clear()

    def _note(self, key: tuple[str, str], used: tuple[str, ...]) -> None:
        before = self._used.pop(key, ())
        if used:
            self._used[key] = used
            self._vaults.use(used)
        self._vaults.leave(before)


class Prepared:
    """Fills documents with the secrets that were read for them.

    Args:
        vaults: Says whose turn it is.
        values: The secrets, by reference.
    """

    def __init__(self, vaults: Vaults, values: Mapping[str, str | None]) -> None:
        self._vaults = vaults
        self._values = values

    def fill(self, kind: str, entity_id: str, document: bytes) -> bytes:
        """Return a document with its secrets in place.

        A reference whose secret cannot be had becomes ``not-found-`` and what nobody can guess, another text
        each time: it may be a password that lets callers in (Otoroshi's ``not-found`` lets in who knows that).
        """
        if not has_references(document):
            return document
        if not self._vaults.is_enabled and kind not in CLOSED_KINDS:
            return document
        filled = fill(document, self._values, self._vaults.next_turn, missing=_unguessable)
        if filled.is_cut and self._vaults.is_enabled:
            logger.warning(
                "%s %s refers to more secrets than the %d of %d expressions and %d bytes that a document "
                "may; the rest is %s-…",
                kind,
                entity_id,
                *(MAX_REFERENCES, MAX_EXPRESSIONS, MAX_INSERTED_BYTES, NOT_FOUND),
            )
        return filled.document


def _unguessable() -> str:
    # Short enough for a part of a host's name.
    return f"{NOT_FOUND}-{secrets.token_hex(24)}"


def _vault_of(reference: str) -> str:
    return reference.removeprefix("vault://").partition("/")[0]


def _shown(reference: str) -> str:
    """Return a reference as logs may show it: options may be anything."""
    return reference.partition("?")[0][:200]
