"""Tell browsers what a page may do.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.SecurityHeadersPlugin``.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderValue, Phase, Plugin, Step, steps

__all__ = ["SecurityHeadersPlugin", "SecurityHeadersPluginConfig"]


class Hsts(msgspec.Struct, frozen=True):
    """``Strict-Transport-Security``."""

    enabled: Annotated[bool, Meta(description="Send it.")] = False
    include_subdomains: Annotated[bool, Meta(description="Hold for subdomains too.")] = False
    max_age: Annotated[int, Meta(description="Seconds that browsers remember it.", ge=0)] = 3600
    preload: Annotated[bool, Meta(description="Ask for a place on the preload lists.")] = False
    on_http: Annotated[bool, Meta(description="Send it on plain HTTP too.")] = False


class ContentSecurityPolicy(msgspec.Struct, frozen=True):
    """``Content-Security-Policy``."""

    mode: Annotated[
        Literal["ENABLED", "REPORT_ONLY", "DISABLED"],
        Meta(description="Hold pages to it, only have breaches reported, or send none."),
    ] = "DISABLED"
    csp: Annotated[HeaderValue, Meta(description="The policy.")] = ""


class PermissionsPolicy(msgspec.Struct, frozen=True):
    """``Permissions-Policy``."""

    enabled: Annotated[bool, Meta(description="Send it.")] = False
    policy: Annotated[HeaderValue, Meta(description="The policy.")] = ""


class SecurityHeadersPluginConfig(Config, frozen=True):
    """One option a header; an option that is off takes the backend's header away."""

    frame_options: Annotated[
        Literal["DENY", "SAMEORIGIN", "DISABLED"],
        Meta(description="X-Frame-Options: who may show the page in a frame."),
    ] = "DISABLED"
    xss_protection: Annotated[
        Literal["OFF", "ON", "BLOCK", "DISABLED"],
        Meta(description="X-XSS-Protection: 0, 1, or 1; mode=block."),
    ] = "DISABLED"
    content_type_options: Annotated[bool, Meta(description="X-Content-Type-Options: nosniff.")] = (
        False
    )
    hsts: Annotated[Hsts, Meta(description="Strict-Transport-Security.")] = Hsts()
    csp: Annotated[ContentSecurityPolicy, Meta(description="Content-Security-Policy.")] = (
        ContentSecurityPolicy()
    )
    referrer_policy: Annotated[
        Literal[
            "no-referrer",
            "no-referrer-when-downgrade",
            "origin",
            "origin-when-cross-origin",
            "same-origin",
            "strict-origin",
            "strict-origin-when-cross-origin",
            "unsafe-url",
            "DISABLED",
        ],
        Meta(description="Referrer-Policy."),
    ] = "DISABLED"
    permissions_policy: Annotated[PermissionsPolicy, Meta(description="Permissions-Policy.")] = (
        PermissionsPolicy()
    )


_XSS_PROTECTION = {"OFF": "0", "ON": "1", "BLOCK": "1; mode=block", "DISABLED": None}


class SecurityHeadersPlugin(Plugin[SecurityHeadersPluginConfig]):
    """Sets the headers whose option is on, and takes the backend's away where it is off.

    ``Strict-Transport-Security`` goes out on HTTPS only, unless ``on_http`` says otherwise.
    """

    id = "cp:otoroshi.next.plugins.SecurityHeadersPlugin"
    name = "Security Headers"
    description = "Sets the response headers that tell browsers what a page may do."
    categories = ("Security",)

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        headers = exchange.response.headers
        for name, value in self._values(secured=exchange.secured).items():
            if value is None:
                headers.remove(name)
            else:
                headers.set(name, value)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("security_headers", Phase.TRANSFORM_RESPONSE, self.config),)

    def _values(self, *, secured: bool) -> dict[str, str | None]:
        """Return every header the plugin owns; None where it is to go."""
        config = self.config

        def unless_disabled(value: str) -> str | None:
            return None if value == "DISABLED" else value

        csp, permissions = config.csp, config.permissions_policy
        return {
            "X-Frame-Options": unless_disabled(config.frame_options),
            "X-XSS-Protection": _XSS_PROTECTION[config.xss_protection],
            "X-Content-Type-Options": "nosniff" if config.content_type_options else None,
            "Strict-Transport-Security": _hsts(config.hsts, secured=secured),
            "Content-Security-Policy": csp.csp if csp.mode == "ENABLED" else None,
            "Content-Security-Policy-Report-Only": csp.csp if csp.mode == "REPORT_ONLY" else None,
            "Referrer-Policy": unless_disabled(config.referrer_policy),
            "Permissions-Policy": permissions.policy if permissions.enabled else None,
        }


def _hsts(hsts: Hsts, *, secured: bool) -> str | None:
    """Return the value of ``Strict-Transport-Security``."""
    if not hsts.enabled or not (secured or hsts.on_http):
        return None
    subdomains = "; includeSubDomains" if hsts.include_subdomains else ""
    return f"max-age={hsts.max_age}{subdomains}{'; preload' if hsts.preload else ''}"
