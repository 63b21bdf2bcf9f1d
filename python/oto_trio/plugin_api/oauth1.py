"""Signatures of OAuth 1.0 (RFC 5849 §3.4)."""

import base64
import hmac
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote

__all__ = ["METHODS", "authorization", "base_string", "signature"]

METHODS: Final[Mapping[str, str | None]] = {
    **{f"HMAC-SHA{size}": f"sha{size}" for size in (1, 256, 384, 512)},
    "PLAINTEXT": None,
}
"""The hash of each signature method; None signs nothing and shows the secrets."""

_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def base_string(method: str, url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Return what is signed (§3.4.1).

    Args:
        method: The request's method.
        url: The request's URL; its query is signed too.
        parameters: Those of the protocol, without the signature, and those of a form in the body.
    """
    # Not urlsplit: a client may have put anything in its Host, and that is the backend's to judge.
    scheme, _, rest = url.partition("://")
    target, _, query = rest.partition("?")
    host, slash, path = target.partition("/")
    host = host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ":"))
    signed = [*parse_qsl(query, keep_blank_values=True), *parameters]
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in signed)
    normalised = "&".join(f"{name}={value}" for name, value in pairs)
    base_url = f"{scheme}://{host}{slash or '/'}{path}"
    return "&".join((method.upper(), _encoded(base_url), _encoded(normalised)))


def signature(method_name: str, text: str, consumer_secret: str, token_secret: str) -> str:
    """Sign a base string (§3.4.2, §3.4.4).

    Args:
        method_name: One of `METHODS`.
        text: What `base_string` made.
        consumer_secret: The client's secret.
        token_secret: The token's secret.

    Raises:
        KeyError: There is no such method.
    """
    key = f"{_encoded(consumer_secret)}&{_encoded(token_secret)}"
    algorithm = METHODS[method_name]
    if algorithm is None:
        return key
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), algorithm)).decode()


def authorization(parameters: Iterable[tuple[str, str]]) -> str:
    """Write the parameters of the protocol as a header value (§3.5.1)."""
    return "OAuth " + ",".join(f'{name}="{_encoded(value)}"' for name, value in parameters)


def _encoded(text: str) -> str:
    """Percent-encode all but letters, digits and ``-._~`` (§3.6)."""
    return quote(text, safe="~")
