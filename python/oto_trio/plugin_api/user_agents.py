"""What a ``User-Agent`` says of the client: browser, platform and kind of device.

The field is a heap of claims that browsers make for each other's sake ("Mozilla/5.0 … like Gecko"), so the
order of the tables is what tells them apart: whoever claims the most names comes first. It proves nothing
of the client.

Source: the user-agent strings that the browsers' makers document; the names of the facts are those of
Browscap, which Otoroshi uses.
"""

import re
from functools import lru_cache
from typing import Final, cast

from oto_trio.plugin_api.exchange import Exchange

__all__ = ["ATTRIBUTE", "TEXT_LENGTH", "parse_user_agent", "user_agent_info"]

ATTRIBUTE: Final = "oto.user-agent"
"""The key in ``exchange.attrs`` under which the extractor leaves the facts for others."""

TEXT_LENGTH: Final = 512
"""Characters of the field that are looked at."""

_UNKNOWN: Final = "Unknown"

_BROWSERS: Final = tuple(
    (re.compile(pattern), name, kind)
    for pattern, name, kind in (
        (r"Googlebot(?:-\w+)?/(\d+)", "Google Bot", "Bot/Crawler"),
        (r"bingbot/(\d+)", "BingBot", "Bot/Crawler"),
        (r"DuckDuckBot/(\d+)", "DuckDuckBot", "Bot/Crawler"),
        (r"YandexBot/(\d+)", "YandexBot", "Bot/Crawler"),
        (r"(?i)\b\w*(?:bot|crawler|spider)\b(?:/(\d+))?", "General Crawlers", "Bot/Crawler"),
        (r"^curl/(\d+)", "cURL", "Application"),
        (r"^Wget/(\d+)", "Wget", "Application"),
        (r"^PostmanRuntime/(\d+)", "Postman", "Application"),
        (r"^python-(?:requests|httpx)/(\d+)", "Python", "Library"),
        (r"^(?:Go-http-client|okhttp|Java|axios)/(\d+)", "Default Library", "Library"),
        (r"\bEdg(?:e|A|iOS)?/(\d+)", "Edge", "Browser"),
        (r"\b(?:OPR|Opera)/(\d+)", "Opera", "Browser"),
        (r"\bSamsungBrowser/(\d+)", "Samsung Browser", "Browser"),
        (r"\bVivaldi/(\d+)", "Vivaldi", "Browser"),
        (r"\bYaBrowser/(\d+)", "Yandex Browser", "Browser"),
        (r"\b(?:Firefox|FxiOS)/(\d+)", "Firefox", "Browser"),
        (r"\b(?:Chrome|CriOS|Chromium)/(\d+)", "Chrome", "Browser"),
        (r"\bVersion/(\d+)[^ ]* (?:Mobile/\w+ )?Safari/", "Safari", "Browser"),
        (r"\b(?:MSIE |Trident/.*rv:)(\d+)", "IE", "Browser"),
    )
)
_PLATFORMS: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"Windows Phone (?:OS )?(\d+(?:\.\d+)?)", "WinPhone"),
        (r"Windows NT 10\.0()", "Win10"),
        (r"Windows NT 6\.3()", "Win8.1"),
        (r"Windows NT 6\.2()", "Win8"),
        (r"Windows NT 6\.1()", "Win7"),
        (r"Windows()", "Windows"),
        (r"Android(?: (\d+(?:\.\d+)?))?", "Android"),
        (r"(?:iPhone|iPad|iPod).*? OS (\d+(?:_\d+)?)", "iOS"),
        (r"CrOS()", "ChromeOS"),
        (r"Mac OS X(?: (\d+(?:[._]\d+)?))?", "MacOSX"),
        (r"Linux()", "Linux"),
    )
)
_WINDOWS: Final = {"Win10": "10.0", "Win8.1": "6.3", "Win8": "6.2", "Win7": "6.1"}
_TABLET: Final = re.compile(r"iPad|Tablet|Kindle|Silk/|Android(?!.*\bMobile\b)")
_PHONE: Final = re.compile(r"\bMobi|iPhone|iPod|Windows Phone")


def user_agent_info(exchange: Exchange) -> dict[str, str] | None:
    """Return what the extractor found for this exchange; ``None`` when it did not run.

    Members: ``browser``, ``browserType``, ``browserMajorVersion``, ``deviceType``, ``platform`` and
    ``platformVersion``; what is not known is ``Unknown``.
    """
    found = exchange.attrs.get(ATTRIBUTE)
    return cast("dict[str, str]", found) if isinstance(found, dict) else None


@lru_cache(maxsize=1024)
def parse_user_agent(text: str) -> tuple[tuple[str, str], ...]:
    """Return the facts of a field of at most `TEXT_LENGTH` characters, in their order.

    Cost: about 10 µs for a new text, less than one for one of the last 1,024.
    """
    browser, kind, version = _UNKNOWN, _UNKNOWN, _UNKNOWN
    for pattern, name, its_kind in _BROWSERS:
        found = pattern.search(text)
        if found is not None:
            browser, kind, version = name, its_kind, found[1] or _UNKNOWN
            break
    platform, platform_version = _UNKNOWN, _UNKNOWN
    for pattern, name in _PLATFORMS:
        found = pattern.search(text)
        if found is not None:
            platform = name
            platform_version = (found[1] or "").replace("_", ".") or _WINDOWS.get(name, _UNKNOWN)
            break
    return (
        ("browser", browser),
        ("browserType", kind),
        ("browserMajorVersion", version),
        ("deviceType", _device(text, kind, platform)),
        ("platform", platform),
        ("platformVersion", platform_version),
    )


def _device(text: str, kind: str, platform: str) -> str:
    if _TABLET.search(text):
        return "Tablet"
    if _PHONE.search(text):
        return "Mobile Phone"
    return "Desktop" if kind == "Browser" and platform != _UNKNOWN else _UNKNOWN
