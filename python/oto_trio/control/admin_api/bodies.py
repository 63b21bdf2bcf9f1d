"""Reading request bodies: bounded in size, time and depth, and decoded with errors that help.

Bounds: `MAX_BODY_BYTES` for a body unless its endpoint says otherwise, `MAX_DEPTH` levels of nesting, `BODY_WAIT_S` to arrive.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl

import msgspec
import trio
from starlette.requests import ClientDisconnect

from oto_trio.control.admin_api.json_patch import JsonPatchError, apply_oto_patch
from oto_trio.control.admin_api.refusals import ApiError, bad_request
from oto_trio.model.wording import json_kind

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.model.document import JsonObject

__all__ = [
    "BODY_WAIT_S",
    "MAX_BODY_BYTES",
    "MAX_DEPTH",
    "YAML_TYPES",
    "decode_json",
    "decode_yaml",
    "decode_yaml_documents",
    "encode_yaml",
    "is_patch_form",
    "media_type",
    "read_body",
    "read_entity",
    "without_envelope",
]

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Longest request body. A route has about 2 kB; a bulk import of 5,000 of them fits."""

MAX_DEPTH: Final = 64
"""Deepest nesting of a document."""

BODY_WAIT_S: Final = 60.0
"""How long a body may take to arrive."""

OTO_PATCH: Final = "application/json+oto-patch"
FORM: Final = "application/x-www-form-urlencoded"
YAML_TYPES: Final = frozenset({"application/yaml", "application/yml", "application/x-yaml"})


def media_type(request: Request) -> str:
    """Give the Content-Type without parameters, in lower case; empty when there is none."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _too_large(most_bytes: int) -> ApiError:
    """Make the refusal of a body that is too long."""
    return ApiError(
        413, "body_too_large", f"the body is longer than {most_bytes} bytes; send it in parts"
    )


async def read_body(
    request: Request, *, most_bytes: int | None = None, wait_s: float | None = None
) -> bytes:
    """Read the whole body.

    Args:
        request: The request.
        most_bytes: Longest body that is taken; None = `MAX_BODY_BYTES`.
        wait_s: How long it may take to arrive; None = `BODY_WAIT_S`.

    Raises:
        ApiError: It is too long (413) or did not arrive in time (408).

    Cancellation: a checkpoint; what was read is dropped.
    """
    most_bytes = MAX_BODY_BYTES if most_bytes is None else most_bytes
    wait_s = BODY_WAIT_S if wait_s is None else wait_s
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most_bytes:
        raise _too_large(most_bytes)
    parts: list[bytes] = []
    length = 0
    with trio.move_on_after(wait_s):
        try:
            async with aclosing(request.stream()) as stream:
                async for part in stream:
                    length += len(part)
                    if length > most_bytes:
                        raise _too_large(most_bytes)
                    parts.append(part)
        except ClientDisconnect:
            raise bad_request("the client left before the end of the body") from None
        return b"".join(parts)
    raise ApiError(408, "timeout", f"the body did not arrive within {wait_s:g} seconds")


def _is_too_deep(text: bytes, value: object) -> bool:
    """Tell whether a decoded value is nested deeper than `MAX_DEPTH`."""
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return False
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(cast("dict[str, object]", item).values())
            elif isinstance(item, list):
                below.extend(cast("list[object]", item))
        if not below:
            return False
        level = below
    return any(isinstance(item, dict | list) for item in level)


TOO_DEEP: Final = f"the document is nested deeper than {MAX_DEPTH} levels; make it flatter"


def decode_json(text: bytes) -> Any:
    """Decode JSON text.

    Raises:
        ApiError: It is none (the message says where), or is nested too deep.
    """
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise bad_request(TOO_DEEP) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise bad_request(f"this is no JSON: {_with_place(str(error), text)}") from None
    if _is_too_deep(text, value):
        raise bad_request(TOO_DEEP)
    return value


def _with_place(message: str, text: bytes) -> str:
    """Turn msgspec's "(byte N)" into line and column."""
    if not text.strip():
        return "the body is empty"
    reason, found, tail = message.partition(" (byte ")
    if not found or not tail.rstrip(")").isdigit():
        return f"{message}, at the end of the {len(text)} bytes that were sent"
    offset = int(tail.rstrip(")"))
    line = text.count(b"\n", 0, offset) + 1
    column = offset - (text.rfind(b"\n", 0, offset) + 1) + 1
    return f"{reason} at line {line}, column {column}"


def decode_yaml(text: bytes) -> Any:
    """Decode YAML text with one document to JSON values.

    Raises:
        ApiError: It is none (the message says where), nested too deep, or has what JSON has not.
    """
    from oto_trio.control.admin_api import yaml_texts  # noqa: PLC0415 (loaded with the first YAML)

    return yaml_texts.read(text)


def decode_yaml_documents(text: bytes) -> list[Any]:
    """Decode YAML text with any number of documents to JSON values; empty ones are left out.

    Raises:
        ApiError: It is none (the message says where), nested too deep, or has what JSON has not.
    """
    from oto_trio.control.admin_api import yaml_texts  # noqa: PLC0415 (loaded with the first YAML)

    return yaml_texts.read_all(text)


def encode_yaml(value: object) -> bytes:
    """Write YAML text, keys in their order; nothing in it may be there twice, or YAML names it."""
    from oto_trio.control.admin_api import yaml_texts  # noqa: PLC0415 (loaded with the first YAML)

    return yaml_texts.write(value)


def is_patch_form(kind: str) -> bool:
    """Tell whether a media type stands for a list of {path, value} rather than a document."""
    return kind in (OTO_PATCH, FORM)


def without_envelope(document: JsonObject) -> JsonObject:
    """Take an entity out of a Kubernetes-like envelope: apiVersion, kind, metadata, spec."""
    spec = document.get("spec")
    if "apiVersion" not in document or not isinstance(spec, dict):
        return document
    entity = cast("JsonObject", spec)
    metadata = document.get("metadata")
    outer = cast("JsonObject", metadata).get("name") if isinstance(metadata, dict) else None
    return {**entity, "name": entity.get("name") or outer or "no name"}


def read_entity(kind: str, text: bytes, base: JsonObject) -> JsonObject:
    """Read the document of an entity from a body.

    Args:
        kind: The body's media type.
        text: The body.
        base: What a patch form is applied to.

    Raises:
        ApiError: The media type is not known, or the body is not what it says.
    """
    try:
        if kind == OTO_PATCH:
            value = apply_oto_patch(base, decode_json(text))
        elif kind == FORM:
            pairs = parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=1000)
            value = apply_oto_patch(base, [{"path": p, "value": v} for p, v in pairs])
        elif kind in YAML_TYPES:
            value = decode_yaml(text)
        elif kind == "application/json":
            value = decode_json(text)
        else:
            raise bad_request("bad content type")
    except JsonPatchError as error:
        raise bad_request(str(error)) from None
    except UnicodeDecodeError:
        raise bad_request("the form is not UTF-8") from None
    except ValueError:
        raise bad_request("the form has more than 1000 fields") from None
    if not isinstance(value, dict):
        raise bad_request(f"expected an object, found {json_kind(value)}")
    document = cast("JsonObject", value)
    return without_envelope(document) if kind in YAML_TYPES else document
