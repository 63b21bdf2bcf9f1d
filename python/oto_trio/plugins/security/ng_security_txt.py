"""Say whom to tell about a weakness.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgSecurityTxt``.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Response, Step, Template, steps

__all__ = ["NgSecurityTxt", "NgSecurityTxtConfig"]

_PATH = "/.well-known/security.txt"
_NOW = Template("${now}")
_DOMAIN = Template("${route.domains['0'] || req.domain}")

Line = Annotated[str, Meta(pattern=r"^[^\r\n]*(?!\n)$")]
_Optional = Line | None | msgspec.UnsetType


class NgSecurityTxtConfig(Config, frozen=True):
    """The fields of RFC 9116."""

    contact: Annotated[
        tuple[Line, ...], Meta(description="Addresses to write to: mail or URL.")
    ] = ("contact@foo.bar",)
    auto_expires: Annotated[
        bool, Meta(description="Let expires_years say how long the file holds; else one year.")
    ] = False
    expires_years: Annotated[
        int, Meta(description="Years the file holds, counted from each answer.", ge=0, le=100)
    ] = 1
    expires: Annotated[_Optional, Meta(description="Until when it holds, instead.")] = msgspec.UNSET
    acknowledgments: Annotated[_Optional, Meta(description="Where finders are thanked.")] = (
        msgspec.UNSET
    )
    preferred_languages: Annotated[
        _Optional, Meta(description="Languages to write in, by comma.")
    ] = msgspec.UNSET
    policy: Annotated[_Optional, Meta(description="Where the policy stands.")] = msgspec.UNSET
    hiring: Annotated[_Optional, Meta(description="Where jobs are offered.")] = msgspec.UNSET
    encryption: Annotated[_Optional, Meta(description="Where the key is.")] = msgspec.UNSET
    csaf: Annotated[_Optional, Meta(description="Where the CSAF metadata is.")] = msgspec.UNSET


class NgSecurityTxt(Plugin[NgSecurityTxtConfig]):
    """Answers ``GET /.well-known/security.txt`` with the fields of the config."""

    id = "cp:otoroshi.next.plugins.NgSecurityTxt"
    name = "Security Txt"
    description = "Answers /.well-known/security.txt."
    categories = ("Security",)
    reads_route = True

    @override
    def transform_request(self, exchange: Exchange) -> Response | None:
        if exchange.request.method != "GET" or exchange.request.path != _PATH:
            return None
        body = "".join(f"{name}: {value}\n" for name, value in self._lines(exchange))
        return Response(200, (("Content-Type", "text/plain; charset=utf-8"),), body.encode())

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("security_txt", Phase.TRANSFORM_REQUEST, self.config),)

    def _lines(self, exchange: Exchange) -> Iterator[tuple[str, str]]:
        config = self.config
        yield from (("Contact", contact) for contact in config.contact if contact)
        years = config.expires_years if config.auto_expires else 1
        yield "Expires", config.expires or _years_later(_NOW.render(exchange), years)
        domain = _DOMAIN.render(exchange).partition("/")[0]
        yield "Canonical", f"https://{domain}{_PATH}"
        for name, value in (
            ("Acknowledgments", config.acknowledgments),
            ("Preferred-Languages", config.preferred_languages),
            ("Policy", config.policy),
            ("Hiring", config.hiring),
            ("Encryption", config.encryption),
            ("CSAF", config.csaf),
        ):
            if value:
                yield name, value


def _years_later(date: str, years: int) -> str:
    """Return an ISO date some years later; 29 February becomes the 28th."""
    year = int(date[:4]) + years
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    rest = date[4:]
    if rest.startswith("-02-29") and not is_leap:
        rest = "-02-28" + rest.removeprefix("-02-29")
    return f"{year:04}{rest}"
