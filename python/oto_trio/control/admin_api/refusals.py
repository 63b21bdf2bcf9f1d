"""Error answers: those of an admin action, and Otoroshi's gateway error for everything else."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from oto_trio.model.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oto_trio.model.errors import Problem

__all__ = ["ApiError", "bad_request", "gateway_error", "refused_entity"]


class ApiError(GatewayError):
    """An admin action was refused; says what the answer will be.

    Args:
        status: HTTP status of the answer.
        error: Short name, the answer's ``error``.
        description: A sentence, or a list of them: the answer's ``error_description``.
            When it is empty the answer has none.
        extra: More keys of the answer.
    """

    code = "refused_action"
    source = "downstream"

    def __init__(self, status: int, error: str, description: str | list[str], **extra: Any) -> None:
        super().__init__(description if isinstance(description, str) else " | ".join(description))
        self.answer_status = status
        self.error = error
        self.description = description
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """Make the answer's JSON object."""
        described = {"error_description": self.description} if self.description else {}
        return {"error": self.error, **described, **self.extra}


def bad_request(description: str, **extra: Any) -> ApiError:
    """Make the refusal of a request that cannot be understood."""
    return ApiError(400, "bad_request", description, **extra)


def refused_entity(problems: list[Problem]) -> ApiError:
    """Make the refusal of an entity; each problem is there as a sentence and taken apart."""
    parts = [{"path": p.path, "message": p.message, "fix": p.fix} for p in problems]
    return ApiError(400, "bad_request", [str(p) for p in problems], problems=parts)


def gateway_error(
    status: int,
    message: str,
    cause: str,
    *,
    accept: str | None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make an error answer in Otoroshi's gateway format.

    Args:
        status: HTTP status.
        message: One sentence, also sent in a header; must not hold secrets.
        cause: Otoroshi's cause id, such as ``errors.no.api.key``.
        accept: The request's Accept header. HTML is answered when an element is exactly ``text/html``,
            or when there is no such header.
        headers: More headers.
    """
    shown = "".join(c if " " <= c <= "~" else "?" for c in message)
    all_headers = {
        **(headers or {}),
        "Otoroshi-Error": "true",
        "Otoroshi-Error-Msg": shown,
        "Otoroshi-Error-Cause": cause,
    }
    wanted = {"text/html"} if accept is None else {part.strip() for part in accept.split(",")}
    if "text/html" in wanted:
        text = html.escape(message)
        page = (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
            f"<title>{status}</title></head><body><h1>{status}</h1><p>{text}</p></body></html>"
        )
        return Response(page, status, all_headers, media_type="text/html")
    body = msgspec.json.encode({"error": cause, "error_description": message})
    return Response(body, status, all_headers, media_type="application/json")
