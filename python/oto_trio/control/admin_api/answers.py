"""Answers of admin actions: formats, the ``kind`` of each object, envelope, pretty print."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec
import trio
from starlette.responses import Response, StreamingResponse

from oto_trio.control.admin_api.bodies import encode_yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from starlette.requests import Request

    from oto_trio.model.document import JsonObject

__all__ = ["NDJSON", "answer", "list_answer", "ndjson_answer", "wanted_format"]

NDJSON: Final = "application/x-ndjson"
JSON: Final = "application/json"
YAML: Final = "application/yaml"
YAML_K8S: Final = "application/yaml+k8s"

_FORMATS: Final = {
    NDJSON: NDJSON,
    YAML: YAML,
    "application/yml": YAML,
    YAML_K8S: YAML_K8S,
}

_CHUNK: Final = 50
"""List items written between two checkpoints: about two milliseconds' work."""


def wanted_format(request: Request) -> str:
    """Choose the format; JSON unless the client names another and does not take JSON."""
    accepted = [part.split(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
    if {JSON, "application/*", "*/*", ""} & set(accepted):
        return JSON
    return next((_FORMATS[a] for a in accepted if a in _FORMATS), JSON)


def _is_pretty(request: Request, *, default: bool) -> bool:
    """Read ``?pretty=``."""
    value = request.query_params.get("pretty")
    return default if value is None else value == "true"


def _encode_json(value: object, *, pretty: bool, indent: bytes = b"") -> bytes:
    """Write JSON text."""
    text = msgspec.json.encode(value)
    if pretty:
        # No JSON text has a raw line feed inside a string, so lines can be moved as a whole.
        text = msgspec.json.format(text, indent=2).replace(b"\n", b"\n" + indent)
    return text


def _in_kubernetes_envelope(document: JsonObject, kind: str) -> JsonObject:
    """Wrap an entity as a Kubernetes resource."""
    spec = {k: v for k, v in document.items() if k != "kind"}
    return {
        "apiVersion": "proxy.otoroshi.io/v1",
        "kind": kind.rpartition("/")[2],
        "metadata": {"name": document.get("name")},
        "spec": spec,
    }


class _ListForm(NamedTuple):
    """How a list is written: around it, between its items, and each item."""

    start: bytes
    between: bytes
    end: bytes
    empty: bytes
    item: Callable[[JsonObject], bytes]


def _list_form(form: str, kind: str | None, *, pretty: bool) -> _ListForm:
    """Choose how a list is written."""
    if form == JSON and pretty:
        item = partial(_encode_json, pretty=True, indent=b"  ")
        return _ListForm(b"[\n  ", b",\n  ", b"\n]", b"[]", item)
    if form == JSON:
        return _ListForm(b"[", b",", b"]", b"[]", msgspec.json.encode)
    if form == NDJSON:
        return _ListForm(b"", b"\n", b"\n", b"", msgspec.json.encode)
    if form == YAML:
        return _ListForm(b"", b"", b"", b"[]\n", _encode_yaml_item)
    item = partial(_encode_kubernetes, kind=kind or "")
    return _ListForm(b"---\n", b"---\n", b"", b"", item)


def _encode_yaml_item(document: JsonObject) -> bytes:
    """Write an entity as one item of a YAML list."""
    return encode_yaml([document])


def _encode_kubernetes(document: JsonObject, kind: str) -> bytes:
    """Write an entity as one Kubernetes resource in YAML."""
    return encode_yaml(_in_kubernetes_envelope(document, kind))


class _WrittenList:
    """A list on its way to the client, a few items at a time, so that it is never held whole.

    A plain iterator: a client that leaves half-way leaves nothing behind that needs closing.
    """

    def __init__(
        self, documents: AsyncIterator[JsonObject], form: _ListForm, kind: str | None
    ) -> None:
        self._documents = documents
        self._form = form
        self._kind = kind
        self._written = 0
        self._is_ended = False

    def __aiter__(self) -> Self:
        """Give the iterator itself."""
        return self

    async def __anext__(self) -> bytes:
        """Give the next piece of text. Cancellation: a checkpoint."""
        await trio.lowlevel.checkpoint()
        if self._is_ended:
            raise StopAsyncIteration
        parts: list[bytes] = []
        for _ in range(_CHUNK):
            document = await anext(self._documents, None)
            if document is None:
                self._is_ended = True
                parts.append(self._form.end if self._written else self._form.empty)
                break
            if self._kind is not None:
                document["kind"] = self._kind
            parts.append(self._form.between if self._written else self._form.start)
            parts.append(self._form.item(document))
            self._written += 1
        return b"".join(parts)


async def list_answer(
    request: Request,
    documents: AsyncIterator[JsonObject],
    *,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    pretty_by_default: bool = True,
) -> Response:
    """Make the answer that lists entities, in the format the client wants.

    Args:
        request: The request; its Accept header and ``pretty`` and ``envelope`` parameters count.
        documents: The entities, each a dict of its own; read while the answer is sent.
        kind: ``kind`` put into each; None = leave them alone.
        headers: More headers.
        pretty_by_default: Whether JSON is indented when the request does not say.
    """
    form = wanted_format(request)
    pretty = _is_pretty(request, default=pretty_by_default)
    if request.query_params.get("envelope") == "true":
        whole = [document async for document in documents]
        enveloped = whole if kind is None else [{**d, "kind": kind} for d in whole]
        text = (
            _encode_json({"data": enveloped}, pretty=pretty)
            if form in (JSON, NDJSON)
            else encode_yaml({"data": enveloped})
        )
        return Response(text, 200, headers, media_type=JSON if form in (JSON, NDJSON) else YAML)
    written = _WrittenList(documents, _list_form(form, kind, pretty=pretty), kind)
    return StreamingResponse(written, 200, headers, media_type=form)


def answer(
    request: Request,
    value: dict[str, Any],
    *,
    status: int = 200,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    pretty_by_default: bool = True,
) -> Response:
    """Make the answer of an admin action in the format the client wants.

    Args:
        request: The request; its Accept header and ``pretty`` and ``envelope`` parameters count.
        value: The object to answer.
        status: HTTP status.
        kind: ``kind`` put into it; None = leave it alone.
        headers: More headers.
        pretty_by_default: Whether JSON is indented when the request does not say.
    """
    form = wanted_format(request)
    shown = value if kind is None else {**value, "kind": kind}
    enveloped = request.query_params.get("envelope") == "true"
    if form == YAML_K8S and not enveloped:
        shown = _in_kubernetes_envelope(shown, kind or "")
    whole = {"data": shown} if enveloped else shown
    if form in (YAML, YAML_K8S):
        return Response(encode_yaml(whole), status, headers, media_type=form)
    if form == NDJSON:
        return Response(msgspec.json.encode(whole) + b"\n", status, headers, media_type=form)
    text = _encode_json(whole, pretty=_is_pretty(request, default=pretty_by_default))
    return Response(text, status, headers, media_type=form)


def ndjson_answer(lines: Sequence[dict[str, Any]], headers: Mapping[str, str]) -> Response:
    """Make the answer of a bulk action: one object a line."""
    text = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    return Response(text, 200, headers, media_type=NDJSON)
