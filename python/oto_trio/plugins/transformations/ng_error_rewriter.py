"""Replace the backend's error answers by pages of one's own.

Phases: transform_response. Native; only an answer that is replaced takes Python.
Otoroshi: ``cp:otoroshi.next.plugins.NgErrorRewriter``.
"""

import html
import json
import logging
import re
import uuid
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import Meta, field
from typing_extensions import override

from oto_trio.plugin_api import (
    BodyTooLarge,
    Config,
    Exchange,
    HeaderName,
    HeaderValue,
    Phase,
    Plugin,
    Response,
    Step,
    Template,
    compiled_template,
    steps,
    writable_fields,
)

__all__ = ["NgErrorRewriter", "NgErrorRewriterConfig", "StatusRange"]

logger = logging.getLogger(__name__)

REPORT: Final = "ErrorRewriteReport"

REPORTED_BYTES: Final = 64 << 10
"""The longest body of a backend that is reported."""

MOST_WANTED: Final = 32
"""Media ranges of an ``Accept`` that are looked at."""

PAGE: Final = """<!DOCTYPE html>
<html lang="en">
  <head><meta charset="utf-8"><title>Error</title></head>
  <body>
    <h1>Something went wrong</h1>
    <p>Please tell your administrator this number: <code>${error_id}</code></p>
  </body>
</html>"""

HTML: Final = "text/html"

_TOKEN: Final = re.compile(r"\$\{(error_id|snowflake|status|status_text)\}")
_KEY: Final = re.compile(r"(?:(?P<status>\d+)|default)(?:-(?P<typed>.+))?|(?P<only>.+)", re.ASCII)
_QUALITY: Final = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


class StatusRange(Config, frozen=True):
    """From one status to another, both included."""

    first: Annotated[int, Meta(description="The first status.", ge=100, le=599)] = field(
        name="from", default=500
    )
    to: Annotated[int, Meta(description="The last status.", ge=100, le=599)] = 599


class NgErrorRewriterConfig(Config, frozen=True):
    """Which answers are replaced, by what, and who hears of it."""

    ranges: Annotated[
        tuple[StatusRange, ...], Meta(description="Statuses of the answers that are replaced.")
    ] = (StatusRange(),)
    templates: Annotated[
        dict[str, str],
        Meta(
            description="Bodies by default, <status>, <content type>, <status>-<content type> or "
            "default-<content type>; ${error_id}, ${snowflake}, ${status} and ${status_text} are filled in."
        ),
    ] = field(default_factory=lambda: {"default": PAGE})
    log: Annotated[bool, Meta(description="Log the number of each error.")] = True
    export: Annotated[bool, Meta(description="Raise an ErrorRewriteReport with both answers.")] = (
        True
    )
    max_body_size: Annotated[
        int,
        Meta(
            description="Bytes of a reported body; a longer one is left out, as one above 65536 is."
        ),
    ] = 1048576
    use_otoroshi_error_template: Annotated[
        bool, Meta(description="Where no template fits: HTML or JSON, else the default template.")
    ] = True
    preserved_headers: Annotated[
        tuple[HeaderName, ...], Meta(description="Headers of the backend's answer that stay.")
    ] = ()
    additional_headers: Annotated[
        dict[HeaderName, HeaderValue], Meta(description="Headers to send besides.")
    ] = {}
    apply_el: Annotated[bool, Meta(description="Evaluate ${…} in the templates.")] = True

    def __post_init__(self) -> None:
        """Refuse a range that holds no status when the config is read."""
        for one in self.ranges:
            if one.first > one.to:
                raise ValueError(
                    f"ranges: {one.first} to {one.to} holds no status; exchange the two"
                )


class _Ranges(msgspec.Struct, frozen=True):
    """What the engine is told: first and last of each range."""

    ranges: tuple[tuple[int, int], ...]


class _Body:
    """A template: texts with expressions, and the names of tokens between them."""

    def __init__(self, key: str, text: str, *, evaluates: bool) -> None:
        found = _KEY.fullmatch(key)
        status = None if found is None else found["status"]
        self.status = None if status is None else int(status)
        media = None if found is None else found["typed"] or found["only"]
        self.media = media
        self._parts: list[str | Template] = []
        end = 0
        for token in _TOKEN.finditer(text):
            self._add(key, text[end : token.start()], evaluates=evaluates)
            self._parts.append(token[0])
            end = token.end()
        self._add(key, text[end:], evaluates=evaluates)

    def _add(self, key: str, text: str, *, evaluates: bool) -> None:
        if text:
            place = f"$.templates[{key!r}]"
            self._parts.append(compiled_template(place, text) if evaluates else text)

    def render(self, exchange: Exchange, tokens: dict[str, str]) -> str:
        """Return the text with its values."""
        return "".join(
            tokens.get(part, part) if isinstance(part, str) else part.render(exchange)
            for part in self._parts
        )


class NgErrorRewriter(Plugin[NgErrorRewriterConfig]):
    """Replaces answers with certain statuses; the status stays, and nothing else of them does.

    The body is chosen by what the client accepts, best first: ``<status>-<type>``, then ``<type>`` for each
    type (``*/*`` chooses none). For who takes HTML then ``<status>`` and ``default``. Else there is a short page or
    JSON with the number of the error; Otoroshi takes the error template of the route there.

    The client gets the number in ``x-otoroshi-error-id``, and in ``x-otoroshi-req-id`` that of its request; cookies
    and other headers of the backend are dropped. Values of expressions are not escaped for HTML: do not
    show what a client sent.

    The log names the number, and no body or header, where Otoroshi logs all of both. In the report is no header but
    the type: cookies and tokens are none of its business. Of a body longer than ``max_body_size``, and of one of
    more than 64 KiB whatever that says, nothing is reported; Otoroshi cuts it.
    """

    id = "cp:otoroshi.next.plugins.NgErrorRewriter"
    name = "Error response rewrite"
    description = "Rewrites error responses."
    categories = ("Transformations",)

    def __init__(self, config: NgErrorRewriterConfig) -> None:
        super().__init__(config)
        self._bodies = [
            _Body(key, text, evaluates=config.apply_el)
            for key, text in config.templates.items()
            if key
        ]
        self._added = writable_fields(config.additional_headers)
        self._kept = tuple(writable_fields(dict.fromkeys(config.preserved_headers, "")))

    @override
    async def transform_response(self, exchange: Exchange) -> Response | None:
        head = exchange.response
        if head is None or not any(r.first <= head.status <= r.to for r in self.config.ranges):
            return None
        error_id, status = str(uuid.uuid4()), head.status
        # Read before anything is answered: what the backend says is lost then.
        original = await self._original(exchange) if self.config.export else None
        media, text = self._body(exchange, status, error_id)
        fields = {
            "Content-Type": media,
            "x-otoroshi-error-id": error_id,
            "x-otoroshi-req-id": str(exchange.request_id),
        }
        for name in self._kept:
            value = head.headers.get(name)
            if value is not None:
                _put(fields, name, value)
        for name, value in self._added.items():
            _put(fields, name, value)
        if self.config.log:
            logger.error(
                "error %s: the answer %d of route %s was rewritten (request %s)",
                *(error_id, status, exchange.route_id, exchange.request_id),
            )
        if self.config.export:
            sent: dict[str, object] = {
                "status": status,
                "content_type": media,
                "body": text[:REPORTED_BYTES],
            }
            self._report(exchange, error_id, original, sent)
        return Response(status, tuple(fields.items()), text.encode())

    @override
    def lower(self) -> tuple[Step, ...]:
        ranges = _Ranges(tuple((one.first, one.to) for one in self.config.ranges))
        return (steps.Native("status_in", Phase.TRANSFORM_RESPONSE, ranges, undecided=True),)

    async def _original(self, exchange: Exchange) -> str | None:
        """Read the backend's body; None when it is too long to be reported."""
        wanted = self.config.max_body_size
        limit = REPORTED_BYTES if wanted <= 0 else min(wanted, REPORTED_BYTES)
        assert exchange.response is not None
        try:
            return (await exchange.response.read(limit)).decode(errors="replace")
        except BodyTooLarge:
            return None

    def _report(
        self, exchange: Exchange, error_id: str, original: str | None, sent: dict[str, object]
    ) -> None:
        """Raise the report."""
        assert exchange.response is not None
        request, head = exchange.request, exchange.response
        facts = {
            "error_id": error_id,
            "request_id": str(exchange.request_id),
            "request": {"method": request.method, "host": request.host, "path": request.path},
            "original_response": {
                "status": head.status,
                "content_type": head.headers.get("Content-Type"),
                "body": original,
            },
            "sent_response": sent,
        }
        exchange.alert(REPORT, facts)

    def _body(self, exchange: Exchange, status: int, error_id: str) -> tuple[str, str]:
        """Choose and fill in the body; return its type and its text."""
        tokens = {
            "${error_id}": error_id,
            "${snowflake}": str(exchange.request_id),
            "${status}": str(status),
            "${status_text}": _status_text(status),
        }
        wanted = _wanted(exchange.request.headers.get_all("Accept"))
        takes_html = not wanted or any(_accepts(accepted, HTML) for accepted in wanted)
        found = self._typed(wanted, status)
        if found is None and takes_html:
            found = self._untyped(status) or self._untyped(None)
        if found is None and self.config.use_otoroshi_error_template:
            return _built_in(status, error_id, takes_html=takes_html)
        found = found or self._untyped(None)
        if found is None:
            return "text/plain", f"error: {error_id}"
        return found.media or HTML, found.render(exchange, tokens)

    def _typed(self, wanted: list[str], status: int) -> _Body | None:
        """Return the template of a type that the client accepts best."""
        for accepted in wanted:
            if accepted == "*/*":
                continue
            for kind in (status, None):
                for body in self._bodies:
                    if body.media and body.status == kind and _accepts(accepted, body.media):
                        return body
        return None

    def _untyped(self, status: int | None) -> _Body | None:
        """Return the template of a status, None being any, that has no type."""
        return next((b for b in self._bodies if b.media is None and b.status == status), None)


def _put(fields: dict[str, str], name: str, value: str) -> None:
    """Put a field in place of one with the same name in any case."""
    for known in [known for known in fields if known.lower() == name.lower()]:
        del fields[known]
    fields[name] = value


def _status_text(status: int) -> str:
    """Return the usual words for a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _built_in(status: int, error_id: str, *, takes_html: bool) -> tuple[str, str]:
    """Return what is sent where no template fits."""
    if takes_html:
        page = (
            f"<html><body><p>An error occurred with id: {html.escape(error_id)}</p></body></html>"
        )
        return HTML, page
    return "application/json", json.dumps({"otoroshi-error-id": error_id, "status": status})


def _wanted(values: list[str]) -> list[str]:
    """Return the media ranges that a client accepts, best first; those it refuses (``q=0``) are left out."""
    found: list[tuple[float, str]] = []
    for item in ",".join(values).split(",")[:MOST_WANTED]:
        media, *parameters = (part.strip() for part in item.split(";"))
        if "/" not in media:
            continue
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "q":
                quality = float(value) if _QUALITY.fullmatch(value.strip()) else 0.0
        if quality > 0:
            found.append((quality, media.lower()))
    # Among equals the more precise one; Python's sort keeps the client's order beyond that.
    found.sort(key=lambda one: (-one[0], one[1].count("*")))
    return [media for _, media in found]


def _accepts(accepted: str, media: str) -> bool:
    """Tell whether a media range takes a type, whose parameters do not count."""
    kind, _, subtype = accepted.partition("/")
    own_kind, _, own_subtype = media.partition(";")[0].strip().lower().partition("/")
    return kind in ("*", own_kind) and subtype in ("*", own_subtype)
