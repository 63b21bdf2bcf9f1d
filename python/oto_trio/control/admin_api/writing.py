"""What a write asks beyond its body: to be strict, and to wait until the change is live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.admin_api.refusals import ApiError, bad_request
from oto_trio.model.errors import ApplyTimeoutError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from oto_trio.control.admin_api.gateway_control import GatewayControl
    from oto_trio.model.errors import Problem

__all__ = ["LONGEST_WAIT_MS", "WriteOptions", "read_write_options", "settle"]

LONGEST_WAIT_MS: Final = 60_000
"""Longest ``timeout`` of ``?wait=applied``, in milliseconds."""

DEFAULT_WAIT_MS: Final = 10_000
"""``timeout`` when none is given, in milliseconds."""

MOST_WARNING_BYTES: Final = 2048
"""Room for warnings in a response header."""


class WriteOptions(msgspec.Struct, frozen=True):
    """What a write asks for."""

    is_strict: bool
    """Refuse keys of the wrong type rather than reading them as absent."""
    is_enriched: bool
    """Compute what can be read from other keys; only certificates have such keys."""
    wait_s: float | None
    """How long to wait until the change is live; None = answer when it is stored."""


def read_write_options(request: Request) -> WriteOptions:
    """Read ``?strict=true``, ``?enrich=false``, ``?wait=applied`` and ``?timeout=<ms>``.

    Raises:
        ApiError: A parameter has another value; the message names it.
    """
    params = request.query_params
    wait = params.get("wait")
    if wait not in (None, "applied"):
        raise bad_request(f"wait={wait!r} is not known; write wait=applied, or leave it out")
    text = params.get("timeout", str(DEFAULT_WAIT_MS))
    digits = text.isascii() and text.isdigit() and len(text) < 8
    if not digits or not 1 <= int(text) <= LONGEST_WAIT_MS:
        raise bad_request(f"timeout={text!r} is no number of ms from 1 to {LONGEST_WAIT_MS}")
    return WriteOptions(
        is_strict=params.get("strict") == "true",
        is_enriched=params.get("enrich") != "false",
        wait_s=int(text) / 1000 if wait else None,
    )


async def settle(
    gateway: GatewayControl,
    options: WriteOptions,
    revision: int,
    warnings: Sequence[Problem] = (),
) -> dict[str, str]:
    """Wait for a stored change as the request asked, and make the headers that tell of it.

    Raises:
        ApiError: It was not live in time (504); it is stored all the same.

    Cancellation: a checkpoint when waiting; the change stays stored.
    """
    headers = {"Oto-Trio-Revision": str(revision)}
    if warnings:
        text = " | ".join(map(str, warnings)).encode("ascii", "replace").decode()
        headers["Oto-Trio-Warnings"] = "".join(
            c if " " <= c <= "~" else "?" for c in text[:MOST_WARNING_BYTES]
        )
    if options.wait_s is not None:
        try:
            await gateway.wait_applied(revision, options.wait_s)
        except ApplyTimeoutError as error:
            raise ApiError(
                504,
                error.code,
                f"the change is stored as revision {revision}, but not every worker served it "
                f"within {options.wait_s:g} s; they go on applying it",
                revision=revision,
            ) from None
        headers["Oto-Trio-Applied"] = "true"
    return headers
