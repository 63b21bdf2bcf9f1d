"""All cases of all plugins, from the files of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.integration.plugins.cases import (
    access,
    calls,
    headers,
    identity,
    limits,
    signed,
    unwelcome,
)

if TYPE_CHECKING:
    from tests.integration.plugins.cases.case import Case

__all__ = ["CASES", "TABLES"]

TABLES: Final = (
    *(access.CASES, calls.CASES, headers.CASES, identity.CASES),
    *(limits.CASES, signed.CASES, unwelcome.CASES),
)
"""The cases by file; a new file is named here."""

CASES: Final[dict[str, Case]] = {name: case for cases in TABLES for name, case in cases.items()}
"""A case of every plugin, by its id without the prefix; `tests/meta` sees that none lacks."""
