"""The one tree of errors that oto-trio raises.

Every error says what a handler needs: a stable ``code`` for logs, docs and tests, whose fault it is
(``source``), which HTTP status it suggests, and whether trying again can help (``retry``). A class
exists only where a handler would act differently. Messages never carry a secret.

Third-party exceptions are turned into these at the edge of the room that owns the library (a store
driver, an exporter, an auth module), and nowhere else.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec
from typing_extensions import override

__all__ = [
    "ERROR_CODES",
    "ApplyTimeoutError",
    "ConflictError",
    "CredentialsError",
    "EntityError",
    "GatewayError",
    "Problem",
    "Retry",
    "RevisionUnknownError",
    "SettingsError",
    "Source",
    "StoreClosedError",
    "StoreError",
    "StoreFileError",
    "StoreFullError",
    "StoreLockedError",
    "StoreMovedError",
    "StoreOutcomeUnknownError",
    "StoreTooLargeError",
]

Source = Literal["downstream", "upstream", "internal", "config"]
"""Whose fault an error is."""

Retry = Literal["never", "always", "only_if_reused"]
"""Whether the same action may be tried again; ``only_if_reused`` = only on a kept-alive connection."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with an entity, a settings file or a request, and how to mend it."""

    path: str
    """Where: a JSON path such as ``$.backend.targets[0].port``."""
    message: str
    """What is wrong, in one sentence without a final full stop."""
    fix: str
    """What to write instead."""
    severity: Literal["error", "warning"] = "error"
    """A warning says what was read differently than written; an error refuses the whole document."""

    @override
    def __str__(self) -> str:
        """Read as one line: path, message and fix."""
        return f"{self.path}: {self.message}; {self.fix}"


ERROR_CODES: dict[str, type[GatewayError]] = {}
"""The catalogue: every error code and the class that carries it."""


class GatewayError(Exception):
    """Root of all errors raised by oto-trio.

    Args:
        message: One or two sentences: what happened and what to do. Shown to operators.
        context: Facts for the log, by name. Must not hold secrets.
    """

    code: ClassVar[str] = "internal_error"
    """Stable name of the error."""
    source: ClassVar[Source] = "internal"
    """Whose fault it is."""
    status: ClassVar[int] = 500
    """The HTTP status to answer with when nothing better is known."""
    retry: ClassVar[Retry] = "never"
    """Whether trying again can help."""

    @override
    def __init_subclass__(cls) -> None:
        """Enter the class in the catalogue; a code belongs to one class."""
        super().__init_subclass__()
        assert cls.code not in ERROR_CODES, f"error code {cls.code!r} is used twice"
        ERROR_CODES[cls.code] = cls

    def __init__(self, message: str, **context: object) -> None:
        super().__init__(message)
        self.message = message
        self.context = context


ERROR_CODES[GatewayError.code] = GatewayError


class EntityError(GatewayError):
    """An entity document cannot be read, or cannot be compiled.

    Args:
        kind: What was being read, such as ``"route"``.
        problems: Everything that is wrong, not only the first thing.
    """

    code = "invalid_entity"
    source = "config"
    status = 400

    def __init__(self, kind: str, problems: list[Problem]) -> None:
        assert problems, "an EntityError must name at least one problem"
        super().__init__(f"this {kind} cannot be read: " + " | ".join(map(str, problems)))
        self.kind = kind
        self.problems = problems


class SettingsError(GatewayError):
    """Static settings (file, environment, flags) cannot be used.

    Args:
        problems: Everything that is wrong; paths begin with the file or variable they are about.
    """

    code = "invalid_settings"
    source = "config"

    def __init__(self, problems: list[Problem]) -> None:
        assert problems, "a SettingsError must name at least one problem"
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class CredentialsError(GatewayError):
    """The file with the admin credentials cannot be used as it is."""

    code = "bad_credentials_file"
    source = "config"


class ApplyTimeoutError(GatewayError):
    """A stored change was not applied by every worker in the time given. The change stays stored."""

    code = "not_applied_in_time"
    status = 504
    retry = "always"


class StoreError(GatewayError):
    """The store cannot do what was asked; but for `StoreOutcomeUnknownError`, nothing was kept."""

    code = "store_unavailable"
    status = 503
    retry: ClassVar[Retry] = "always"


class StoreClosedError(StoreError):
    """The store was closed while, or before, the action was asked for."""

    code = "store_closed"


class StoreFullError(StoreError):
    """The disk that holds the store is full; reads still work."""

    code = "store_full"
    status = 507


class StoreTooLargeError(StoreError):
    """A document, or a transaction as a whole, is larger than the store takes."""

    code = "store_too_large"
    source = "downstream"
    status = 413
    retry = "never"


class StoreLockedError(StoreError):
    """Another process holds the store's file."""

    code = "store_locked"


class StoreFileError(StoreError):
    """The store's file is damaged, foreign, too new or not accessible."""

    code = "bad_store_file"
    retry = "never"


class StoreOutcomeUnknownError(StoreError):
    """The store went away while it kept a change: whether the whole of it was kept is not known."""

    code = "store_outcome_unknown"
    retry = "never"


class RevisionUnknownError(GatewayError):
    """A revision is not remembered any more, or was not made yet.

    Args:
        revision: The revision.
        oldest: The oldest one whose state is known.
        latest: The latest one.
    """

    code = "revision_unknown"
    source = "downstream"
    status = 404

    def __init__(self, revision: int, oldest: int, latest: int) -> None:
        what = "was not made yet" if revision > latest else "is not remembered any more"
        super().__init__(
            f"revision {revision} {what}; the states of revisions {oldest} to {latest} are known"
        )
        self.revision = revision
        self.oldest = oldest
        self.latest = latest


class ConflictError(GatewayError):
    """A write expected another state of the entity than the one stored; nothing was kept.

    Args:
        kind: Kind of the entity.
        entity_id: Its id.
        expected: What the write asked for: ``"absent"``, ``"present"`` or a revision.
        found: Revision that is stored, or None when there is no such entity.
    """

    code = "conflict"
    source = "downstream"
    status = 409

    def __init__(self, kind: str, entity_id: str, expected: str, found: int | None) -> None:
        state = "it does not exist" if found is None else f"it stands at revision {found}"
        super().__init__(f"{kind} {entity_id!r} was expected to be {expected}, but {state}")
        self.kind = kind
        self.entity_id = entity_id
        self.expected = expected
        self.found = found


class StoreMovedError(ConflictError):
    """A transaction expected the store at a revision, and others wrote since; nothing was kept.

    Args:
        expected: The revision that was expected.
        found: The one at which the store stands.
    """

    code = "store_moved"

    def __init__(self, expected: int, found: int) -> None:
        # It is about no entity in particular: kind and id stay empty.
        super().__init__("", "", f"at revision {expected}", found)
        self.wanted = expected
        self.at = found
        self.args = (
            f"the store was expected at revision {expected}, but it stands at revision {found}",
        )
