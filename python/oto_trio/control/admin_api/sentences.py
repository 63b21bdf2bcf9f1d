"""Refusals of the older paths: one sentence under ``error``, and nothing beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.refusals import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["in_sentences", "sentence"]


class _SentenceError(ApiError):
    """A refusal in the words of these paths: ``{"error": "a sentence"}``."""

    code = "refused_in_a_sentence"

    @override
    def body(self) -> dict[str, Any]:
        return {"error": self.error, **self.extra}


def sentence(status: int, text: str, **extra: Any) -> ApiError:
    """Make a refusal that is one sentence.

    Args:
        status: HTTP status of the answer.
        text: The sentence.
        extra: More keys of the answer.
    """
    return _SentenceError(status, text, text, **extra)


def in_sentences(
    action: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint that answers refusals: compact, and without ``kind``."""

    async def endpoint(request: Request) -> Response:
        try:
            return await action(request)
        except ApiError as error:
            status = error.answer_status
            return answer(request, error.body(), status=status, pretty_by_default=False)

    return endpoint
