"""Answers of admin actions: formats, the ``kind`` of each object, envelope, pretty print."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, cast

import msgspec
import trio
import yaml
from starlette.responses import Response, StreamingResponse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.requests import Request

    from oto_trio.model.document import JsonObject

__all__ = ["NDJSON", "answer", "ndjson_answer"]

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

_CHUNK: Final = 200
"""List items encoded between two checkpoints: about a millisecond's work."""


def _wanted_format(request: Request) -> str:
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


def _encode_yaml(value: object) -> bytes:
    """Write YAML text, keys in their order."""
    dumped: str = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return dumped.encode()


def _in_kubernetes_envelope(document: JsonObject, kind: str) -> JsonObject:
    """Wrap an entity as a Kubernetes resource."""
    spec = {k: v for k, v in document.items() if k != "kind"}
    return {
        "apiVersion": "proxy.otoroshi.io/v1",
        "kind": kind.rpartition("/")[2],
        "metadata": {"name": document.get("name")},
        "spec": spec,
    }


def _chunks(
    documents: Sequence[JsonObject], form: str, kind: str | None, *, pretty: bool
) -> Iterator[bytes]:
    """Write a list, item by item."""
    items = (d if kind is None else {**d, "kind": kind} for d in documents)
    if form == JSON:
        start, between, end = (b"[\n  ", b",\n  ", b"\n]") if pretty else (b"[", b",", b"]")
        for position, item in enumerate(items):
            yield start if position == 0 else between
            yield _encode_json(item, pretty=pretty, indent=b"  ")
        yield end if documents else b"[]"
    elif form == NDJSON:
        for item in items:
            yield msgspec.json.encode(item) + b"\n"
    elif form == YAML:
        for item in items:
            yield _encode_yaml([item])
        if not documents:
            yield b"[]\n"
    else:
        for item in items:
            yield b"---\n" + _encode_yaml(_in_kubernetes_envelope(item, kind or ""))


class _Chunked:
    """Joins parts to chunks, and lets others run between them.

    A plain iterator: a client that leaves half-way leaves nothing behind that needs closing.
    """

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def __aiter__(self) -> Self:
        """Give the iterator itself."""
        return self

    async def __anext__(self) -> bytes:
        """Give the next chunk. Cancellation: a checkpoint."""
        await trio.lowlevel.checkpoint()
        chunk = b"".join(islice(self._parts, _CHUNK))
        if not chunk:
            raise StopAsyncIteration
        return chunk


def _with_kind(value: JsonObject | list[JsonObject], kind: str) -> object:
    """Put ``kind`` into an object, or into each object of a list."""
    if isinstance(value, dict):
        return {**value, "kind": kind}
    return [{**item, "kind": kind} for item in value]


def answer(
    request: Request,
    value: dict[str, Any] | list[dict[str, Any]],
    *,
    status: int = 200,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    pretty_by_default: bool = True,
) -> Response:
    """Make the answer of an admin action in the format the client wants.

    Args:
        request: The request; its Accept header and ``pretty`` and ``envelope`` parameters count.
        value: An object, or a list of objects.
        status: HTTP status.
        kind: ``kind`` put into each object; None = leave them alone.
        headers: More headers.
        pretty_by_default: Whether JSON is indented when the request does not say.
    """
    form = _wanted_format(request)
    pretty = _is_pretty(request, default=pretty_by_default)
    shown: object = value if kind is None else _with_kind(value, kind)
    enveloped = request.query_params.get("envelope") == "true"
    if isinstance(value, list) and not enveloped:
        body = _Chunked(_chunks(value, form, kind, pretty=pretty))
        return StreamingResponse(body, status, headers, media_type=form)
    whole: object = {"data": shown} if enveloped else shown
    if form == NDJSON:
        text = msgspec.json.encode(whole) + b"\n"
    elif form == YAML:
        text = _encode_yaml(whole)
    elif form == YAML_K8S and not enveloped:
        text = _encode_yaml(_in_kubernetes_envelope(cast("JsonObject", whole), kind or ""))
    else:
        form = YAML if form == YAML_K8S else JSON
        text = _encode_yaml(whole) if form == YAML else _encode_json(whole, pretty=pretty)
    return Response(text, status, headers, media_type=form)


def ndjson_answer(lines: Sequence[dict[str, Any]], headers: Mapping[str, str]) -> Response:
    """Make the answer of a bulk action: one object a line."""
    body = _Chunked(msgspec.json.encode(line) + b"\n" for line in lines)
    return StreamingResponse(body, 200, headers, media_type=NDJSON)
