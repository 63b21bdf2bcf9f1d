"""Where `oto-trio export` and `oto-trio import` find the whole configuration: a store at rest, or a gateway."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import click

from oto_trio.cli.admin_client import AdminClient
from oto_trio.cli.at_rest import StoreAtRest, data_option, store_at_rest
from oto_trio.control.admin_api.full_export import take_export
from oto_trio.control.admin_api.full_import import read_dump, read_export
from oto_trio.control.admin_api.import_plan import plan_import
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.checking import check_entity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from oto_trio.control.store.base import Store
    from oto_trio.model.document import Document
    from oto_trio.model.errors import Problem

__all__ = ["DUMP", "JSON", "Whole", "place_options", "whole_of"]

JSON: Final = "application/json"
DUMP: Final = "application/x-ndjson"
"""The two forms of an export."""

TIMEOUT_S: Final = 330.0
"""How long an admin API may take for one answer: longer than an import may take to arrive."""

T = TypeVar("T")

_PLACES: Final = (
    data_option,
    click.option(
        "--admin",
        metavar="URL",
        help="Use a running gateway's admin API.  [default: http://127.0.0.1:8081]",
    ),
    click.option("--client-id", help="Id of the admin API's key.  [default: the well-known one]"),
    click.option("--client-secret", help="Its secret.  [default: the well-known one]"),
)


class Whole(Protocol):
    """A whole configuration. Every method raises `ClickException` for what goes wrong."""

    def take(self, form: str) -> bytes:
        """Export it, in one of the two forms."""
        ...

    def put(self, content: bytes, form: str, *, is_strict: bool, is_dry: bool) -> dict[str, Any]:
        """Replace it by an export.

        Args:
            content: The export.
            form: Which of the two it is in.
            is_strict: Whether warnings refuse it.
            is_dry: Whether nothing is to be changed.

        Returns:
            ``changes``, ``kept``, ``left_out`` and ``warnings`` of a dry run; ``revision`` otherwise.
        """
        ...


def place_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the configuration is."""
    for option in reversed(_PLACES):
        function = option(function)
    return function


def whole_of(
    data: str | None,
    admin: str | None,
    client_id: str | None,
    client_secret: str | None,
    plugins: Path | None = None,
) -> Whole:
    """Open what the options name.

    Args:
        data: A store without its gateway.
        admin: The URL of an admin API.
        client_id: Id of the admin API's key.
        client_secret: Its secret.
        plugins: Folder of user plugins, of a store; None = the one in its data folder.

    Raises:
        UsageError: They name two places, or none that can be.
        ClickException: There is no such store.
    """
    if data is not None and admin is not None:
        raise click.UsageError("give one of --data and --admin, not both")
    if data is not None:
        return _StoreWhole(store_at_rest(data, called="--data", plugins=plugins))
    return _AdminWhole(admin or "http://127.0.0.1:8081", client_id, client_secret)


class _StoreWhole:
    """The configuration in a store that is opened without a gateway."""

    def __init__(self, store: StoreAtRest) -> None:
        self._store = store

    def take(self, form: str) -> bytes:
        """See `Whole.take`."""
        return self._run(partial(_taken, form=form))

    def put(self, content: bytes, form: str, *, is_strict: bool, is_dry: bool) -> dict[str, Any]:
        """See `Whole.put`."""
        registry = self._store.registry()

        def check(entity: Document) -> list[Problem]:
            return check_entity(entity, registry, {})

        async def replace(store: Store) -> dict[str, Any]:
            source = await read_dump(content) if form == DUMP else read_export(content)
            plan = await plan_import(source, store, check, strict=is_strict)
            return plan.told() if is_dry else {"revision": await store.transact(plan.writes)}

        return self._run(replace)

    def _run(self, use: Callable[[Store], Awaitable[T]]) -> T:
        """Open the store, use it, and close it."""
        try:
            return self._store.run(
                use,
                ApiError,
                running="of a running gateway, use the admin API: --admin http://127.0.0.1:8081",
            )
        except ApiError as error:
            raise click.ClickException(_listed(error.description)) from None


async def _taken(store: Store, *, form: str) -> bytes:
    """Export what a store holds."""
    export = await take_export(store)
    if form == DUMP:
        return b"".join(export.ndjson())
    stats = {"calls": 0, "dataIn": 0, "dataOut": 0}
    now_ms = time.time_ns() // 1_000_000
    return b"".join(export.json(stats=stats, now_ms=now_ms, pretty=True))


class _AdminWhole:
    """The configuration of a running gateway, through its admin API."""

    def __init__(self, url: str, client_id: str | None, client_secret: str | None) -> None:
        self._api = AdminClient(
            url,
            client_id,
            client_secret,
            instead="--data works without one",
            timeout_s=TIMEOUT_S,
        )

    def take(self, form: str) -> bytes:
        """See `Whole.take`."""
        return self._send("GET", "", {"Accept": form})[0]

    def put(self, content: bytes, form: str, *, is_strict: bool, is_dry: bool) -> dict[str, Any]:
        """See `Whole.put`."""
        query = f"?strict={str(is_strict).lower()}&dry_run={str(is_dry).lower()}"
        body, revision = self._send("POST", query, {"Content-Type": form}, content)
        if not is_dry:
            return {"revision": revision}
        told: dict[str, Any] = json.loads(body)
        return told

    def _send(
        self, verb: str, query: str, headers: dict[str, str], content: bytes | None = None
    ) -> tuple[bytes, str | None]:
        """Send a request; give the body of the answer, and the revision that it names."""
        path = f"/api/otoroshi.json{query}"
        answer = self._api.send(path, verb=verb, headers=headers, content=content)
        assert answer is not None, "only a 404 that is foreseen has no answer"
        return answer[0], answer[1]["Oto-Trio-Revision"]


def _listed(description: str | list[str]) -> str:
    """Write what was refused, one problem a line."""
    return description if isinstance(description, str) else "\n".join(description)
