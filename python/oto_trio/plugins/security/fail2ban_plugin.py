"""Ban callers whose requests fail again and again.

Phases: access, transform_response, done. Native.
Otoroshi: ``cp:otoroshi.next.plugins.Fail2BanPlugin``.
"""

import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    Pattern,
    Phase,
    Plugin,
    Response,
    Step,
    Template,
    steps,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fail2BanPlugin", "Fail2BanPluginConfig", "UrlRule"]

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"\s*(\d+)\s*(ms|s|m|h)?\s*")
_STATUSES = re.compile(r"\s*(\d{3})\s*(?:-\s*(\d{3})\s*)?")
_LONGEST_DETECT_MS = 2_000_000_000

_Duration = Annotated[
    int | str, Meta(description="Milliseconds, or a text like 500ms, 60s, 15m, 3h.")
]


class UrlRule(msgspec.Struct, frozen=True):
    """What to do with paths that match."""

    pattern: Annotated[str, Meta(description="A regular expression for the whole path.")] = ".*"
    mode: Annotated[
        Literal["allow", "block"], Meta(description="allow leaves them alone, block watches them.")
    ] = "block"


class Fail2BanPluginConfig(Config, frozen=True):
    """Who is watched, what counts as a failure, and how long a ban is."""

    identifier: Annotated[
        str,
        Meta(description="Who is banned; an expression. Shared by all routes with this plugin."),
    ] = "${route.id}-${req.ip}"
    detect_time: Annotated[_Duration, Meta(description="Failures in this time are added up.")] = (
        600000
    )
    ban_time: Annotated[_Duration, Meta(description="How long a ban lasts.")] = 10800000
    max_retry: Annotated[int, Meta(ge=1, description="The failure that bans.")] = 4
    url_regex: Annotated[
        tuple[UrlRule, ...],
        Meta(
            description="Which paths are watched: the first rule that matches decides. Without a match "
            "a path is watched unless a rule says block."
        ),
    ] = ()
    status_codes: Annotated[
        tuple[str, ...], Meta(description="Statuses that are failures: 401, or 403-499.")
    ] = ("400", "401", "403-499", "500-599")
    ignored: Annotated[
        tuple[str, ...],
        Meta(
            description="Never watched: Ip(10.0.*), Cidr(10.0.0.0/8), or a pattern for identifiers."
        ),
    ] = ()
    blocked: Annotated[
        tuple[str, ...], Meta(description="Always refused; written like ignored.")
    ] = ()

    @override
    @classmethod
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Take statuses that are written as numbers."""
        listed: object = raw.get("status_codes")
        if isinstance(listed, list | tuple):
            raw["status_codes"] = [str(one) for one in cast("Sequence[object]", listed)]
        return raw

    def __post_init__(self) -> None:
        """Refuse what cannot be read when the config is read, not when a request comes."""
        if not 1 <= _milliseconds("detect_time", self.detect_time) <= _LONGEST_DETECT_MS:
            raise ValueError(f"detect_time must be 1 to {_LONGEST_DETECT_MS} ms (23 days)")
        if _milliseconds("ban_time", self.ban_time) < 1:
            raise ValueError("ban_time must be 1 ms at least")
        _ranges(self.status_codes)
        for rule in self.url_regex:
            Pattern(rule.pattern)
        for name, entries in (("ignored", self.ignored), ("blocked", self.blocked)):
            for entry in entries:
                _check_entry(name, entry)


class _Native(msgspec.Struct, frozen=True):
    """The config as the engine reads it."""

    identifier: str
    detect_ms: int
    ban_ms: int
    max_retry: int
    url_regex: tuple[UrlRule, ...]
    statuses: tuple[tuple[int, int], ...]
    ignored: tuple[str, ...]
    blocked: tuple[str, ...]


class Fail2BanPlugin(Plugin[Fail2BanPluginConfig]):
    """Refuses with 403 whoever failed ``max_retry`` times in ``detect_time``, for ``ban_time``.

    A failure is counted with the backend's response, or when the exchange is over, whoever answered: the
    gateway with an error, or a plugin. Refusals of a ban are no new failures. Bans are shared by all workers of the
    machine; they do not survive a restart of the whole gateway.

    Quirks not taken over: ``Cidr(...)`` matches here, in Otoroshi it never does; answers that another
    plugin gives by itself (a login that fails) count here too.
    """

    id = "cp:otoroshi.next.plugins.Fail2BanPlugin"
    name = "fail2ban"
    description = "Bans identifiers after repeated failures."
    categories = ("Security",)

    def __init__(self, config: Fail2BanPluginConfig) -> None:
        super().__init__(config)
        self._identifier = Template(config.identifier)
        self._detect_ms = _milliseconds("detect_time", config.detect_time)
        self._ban_ms = _milliseconds("ban_time", config.ban_time)
        self._statuses = _ranges(config.status_codes)
        self._rules = [(Pattern(rule.pattern), rule.mode) for rule in config.url_regex]

    @override
    def access(self, exchange: Exchange) -> Response | None:
        identifier = self._identifier.render(exchange)
        if not self._watches(exchange) or _is_listed(self.config.ignored, exchange, identifier):
            return None
        if _is_listed(self.config.blocked, exchange, identifier):
            return _answer({"error": "blocked", "message": "You cant access this resource."})
        left_ms = exchange.limits.banned_ms(self._identifier.render_counted(exchange))
        if not left_ms:
            return None
        return _answer(
            {
                "error": "temporary_ban",
                "message": "You are temporarily banned due to too many failed requests.",
                "retry_in_seconds": -(-left_ms // 1000),
            }
        )

    @override
    def transform_response(self, exchange: Exchange) -> None:
        self._note(exchange)

    @override
    def done(self, exchange: Exchange) -> None:
        self._note(exchange)

    def _note(self, exchange: Exchange) -> None:
        """Count a failed exchange, once."""
        identifier, config = self._identifier.render(exchange), self.config
        counted = self._identifier.render_counted(exchange)
        status = 0 if exchange.response is None else exchange.response.status
        if (
            any(first <= status <= last for first, last in self._statuses)
            and self._watches(exchange)
            and not _is_listed((*config.ignored, *config.blocked), exchange, identifier)
            and not exchange.limits.banned_ms(counted)
            and f"{self.id}:{counted}" not in exchange.attrs
        ):
            exchange.attrs[f"{self.id}:{counted}"] = status
            exchange.limits.fail(counted, config.max_retry, self._detect_ms, self._ban_ms)

    @override
    def lower(self) -> tuple[Step, ...]:
        config = self.config
        settings = _Native(
            config.identifier,
            self._detect_ms,
            self._ban_ms,
            config.max_retry,
            config.url_regex,
            self._statuses,
            config.ignored,
            config.blocked,
        )
        return (
            steps.Native("fail2ban", Phase.ACCESS, settings),
            steps.Native("fail2ban_count", Phase.TRANSFORM_RESPONSE, settings),
            steps.Native("fail2ban_count", Phase.DONE, settings),
        )

    def _watches(self, exchange: Exchange) -> bool:
        path = exchange.request.path
        for pattern, mode in self._rules:
            if pattern.matches(path):
                return mode == "block"
        return all(mode == "allow" for _, mode in self._rules)


def _milliseconds(name: str, duration: int | str) -> int:
    """Return a duration in milliseconds.

    Raises:
        ValueError: It is none.
    """
    found = _DURATION.fullmatch(str(duration))
    if found is None:
        raise ValueError(f"{name}: {duration!r} is no duration; write 500ms, 60s, 15m or 3h")
    return int(found[1]) * _UNITS[found[2] or "ms"]


def _ranges(statuses: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return statuses as first and last.

    Raises:
        ValueError: One is neither a status nor a range of them.
    """
    found = [(text, _STATUSES.fullmatch(text)) for text in statuses]
    wrong = [text for text, match in found if match is None]
    if wrong:
        raise ValueError(f"status_codes: {wrong[0]!r} is no status; write 401 or 403-499")
    return tuple((int(match[1]), int(match[2] or match[1])) for _, match in found if match)


def _inside(entry: str) -> str | None:
    """Return the address of ``Ip(...)`` and ``Cidr(...)``; None for a pattern of identifiers."""
    for prefix in ("Ip(", "Cidr("):
        if entry.startswith(prefix) and entry.endswith(")"):
            return entry[len(prefix) : -1].strip()
    return None


def _check_entry(name: str, entry: str) -> None:
    """Refuse an entry whose address is none.

    Raises:
        ValueError: It is none.
    """
    address = _inside(entry)
    if not address or "*" in address:
        return
    try:
        ip_network(address, strict=False)
    except ValueError:
        raise ValueError(
            f"{name}: {entry!r} holds no address; write Ip(10.0.0.7), Ip(10.0.*) or Cidr(10.0.0.0/8)"
        ) from None


def _is_listed(entries: tuple[str, ...], exchange: Exchange, identifier: str) -> bool:
    """Tell whether the caller is in a list."""
    return any(_matches(entry, exchange.remote_address, identifier) for entry in entries if entry)


def _matches(entry: str, address: str, identifier: str) -> bool:
    inside = _inside(entry)
    if inside is None:
        return _wildcard(entry, identifier)
    if "*" in inside or not inside:
        return bool(inside) and _wildcard(inside, address)
    try:
        return ip_address(address) in ip_network(inside, strict=False)
    except ValueError:
        return False


def _wildcard(pattern: str, text: str) -> bool:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _answer(body: dict[str, Any]) -> Response:
    return Response(403, [("Content-Type", "application/json")], msgspec.json.encode(body))
