"""Answer attacks on log4j (CVE-2021-44228) in the backend's place.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgLog4ShellFilter``.
"""

import re
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Answer,
    BodyTooLarge,
    Config,
    Exchange,
    Phase,
    Plugin,
    Refusal,
    Response,
    Step,
    steps,
)

__all__ = ["NgLog4ShellFilter", "NgLog4ShellFilterConfig", "has_jndi_lookup"]

BODY_BYTES = 1 << 20
"""The longest body that is searched; a longer one is refused with 413, because it cannot be judged."""

_DEPTH = 32


class NgLog4ShellFilterConfig(Config, frozen=True):
    """What an attack gets, and where it is looked for."""

    status: Annotated[int, Meta(description="The status of the answer.", ge=200, le=599)] = 200
    body: Annotated[str, Meta(description="The body of the answer, as text/plain.")] = ""
    parse_body: Annotated[
        bool,
        Meta(
            description="Search bodies too; then one of more than 1 MiB is refused with status 413."
        ),
    ] = False


class NgLog4ShellFilter(Plugin[NgLog4ShellFilterConfig]):
    """Answers by itself when method, path, query, a header or the body has a lookup of ``jndi:``.

    Lookups put together by other lookups are seen, and those hidden by percent encoding or JSON
    escapes. Bodies are read in Python. It is a net under software that cannot be patched today.
    """

    id = "cp:otoroshi.next.plugins.NgLog4ShellFilter"
    name = "Log4Shell mitigation plugin"
    description = "Answers requests that try to exploit Log4Shell instead of passing them on."
    categories = ("Security",)

    @override
    async def transform_request(self, exchange: Exchange) -> Answer:
        request = exchange.request
        texts = [request.path, request.query, request.method]
        texts += [value for _, value in request.headers.items()]
        is_attack = any(has_jndi_lookup(text.encode("utf-8")) for text in texts)
        if not is_attack and self.config.parse_body and request.has_body:
            try:
                is_attack = has_jndi_lookup(await request.read(BODY_BYTES))
            except BodyTooLarge:
                return Refusal(413, f"The body is longer than {BODY_BYTES} bytes")
        if not is_attack:
            return None
        body = self.config.body.encode()
        return Response(self.config.status, (("Content-Type", "text/plain"),), body)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("log4shell", Phase.TRANSFORM_REQUEST, self.config, undecided=True),)


def has_jndi_lookup(text: bytes) -> bool:
    """Tell whether a text has a log4j lookup of ``jndi:``, however it is put together."""
    if _looks_up_jndi(text):
        return True
    decoded = _decoded(text, rb"%([0-9A-Fa-f]{2})")
    return _looks_up_jndi(decoded) or _looks_up_jndi(_decoded(decoded, rb"\\u00([0-9A-Fa-f]{2})"))


def _decoded(text: bytes, escapes: bytes) -> bytes:
    return re.sub(escapes, lambda found: bytes.fromhex(found[1].decode()), text)


def _looks_up_jndi(text: bytes) -> bool:
    """Follow the lookups of a text from the innermost out."""
    start = text.find(b"${")
    if start < 0:
        return False
    lookups: list[bytearray] = []
    at, lower = start, text.lower()
    while at < len(lower):
        if lower.startswith(b"${", at):
            if len(lookups) == _DEPTH:
                return True  # whoever nests deeper means harm
            lookups.append(bytearray())
            at += 2
            continue
        letter = lower[at]
        at += 1
        if letter != ord("}"):
            if lookups:
                lookups[-1].append(letter)
        elif lookups:
            lookup = bytes(lookups.pop())
            if _is_jndi(lookup):
                return True
            if lookups:
                lookups[-1] += _resolved(lookup)
    # log4j wants the closing brace, but the text may be cut where we cannot see.
    return any(_is_jndi(bytes(lookup)) for lookup in lookups)


def _is_jndi(lookup: bytes) -> bool:
    return lookup.lstrip(b" \t\n\r\x0c").startswith(b"jndi:")


def _resolved(lookup: bytes) -> bytes:
    """Return what log4j would put in place of a lookup, as far as an attacker can choose it."""
    for name in (b"lower:", b"upper:"):
        if lookup.startswith(name):
            return lookup.removeprefix(name)
    if lookup.startswith(b"date:"):
        return lookup.removeprefix(b"date:").replace(b"'", b"")
    return lookup.partition(b":-")[2]
