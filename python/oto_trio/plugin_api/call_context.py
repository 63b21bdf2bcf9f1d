"""The context of a call as JSON: what validators with paths look into."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from oto_trio.plugin_api.exchange import Exchange

__all__ = ["call_context"]

COOKIES = 128
"""Cookies of a request that are shown; further ones are left out."""


def call_context(exchange: Exchange, config: msgspec.Struct | None) -> dict[str, Any]:
    """Return what is known of a call, as a new JSON document.

    Args:
        exchange: The exchange, before the backend is called.
        config: The config of the plugin that asks.

    Source: Otoroshi's validation context. Of the route, id and name are shown; of ``attrs`` nothing.
    """
    request = exchange.request
    scheme = "https" if exchange.secured else "http"
    uri = f"{request.path}?{request.query}" if request.query else request.path
    headers = dict(request.headers.items())
    shown = {
        "id": str(exchange.id),
        "method": request.method,
        "scheme": scheme,
        "host": request.host,
        "domain": request.domain,
        "path": request.path,
        "uri": uri,
        "relative_uri": uri,
        "url": f"{scheme}://{request.host}{uri}",
        "query": dict(parse_qsl(request.query, keep_blank_values=True, max_num_fields=None)),
        "headers": headers,
        "cookies": _cookies(request.headers.get_all("Cookie")),
        "version": f"HTTP/{request.version}",
        "tls": exchange.secured,
        "remote": exchange.remote_address,
        "ip_address": exchange.remote_address,
        "has_body": request.has_body,
    }
    return {
        "snowflake": str(exchange.id),
        "apikey": None if exchange.apikey is None else exchange.apikey.light(),
        "user": exchange.user,
        "request": shown,
        "req": shown,
        "config": msgspec.json.decode(msgspec.json.encode(config)),
        "global_config": exchange.plugins_config,
        "attrs": {},
        "route": {"id": exchange.route_id, "name": exchange.route_name},
        "token": exchange.token,
    }


def _cookies(fields: list[str]) -> list[dict[str, str]]:
    """Return the cookies as objects with name and value."""
    pairs = [pair.strip().partition("=") for field in fields for pair in field.split(";")]
    return [{"name": name, "value": value} for name, equals, value in pairs if equals][:COOKIES]
