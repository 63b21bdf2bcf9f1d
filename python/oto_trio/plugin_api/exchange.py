"""What a plugin sees of an exchange: typed views, no implementation.

The gateway passes the engine's own object, a test passes ``oto_trio.testing.FakeExchange``; both
satisfy these protocols, so a plugin never imports either. Header names are case-insensitive
everywhere; names and values are text decoded as latin-1 (RFC 9110 §5.5 leaves the bytes opaque).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from oto_trio import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BodyTooLarge",
    "ClientCertificate",
    "Exchange",
    "Headers",
    "Request",
    "ResponseHead",
    "stripped_path",
]


class BodyTooLarge(Exception):  # noqa: N818 (reads as a state, like trio.Cancelled)
    """The request body is longer than the limit given to ``Request.read``.

    Args:
        limit_bytes: The limit that was passed.
    """

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the request body is longer than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class Headers(Protocol):
    """The header fields of one message, in wire order. Every change is O(number of fields)."""

    def get(self, name: str, /) -> str | None:
        """Return the first value of a field, or ``None``."""
        ...

    def get_all(self, name: str, /) -> list[str]:
        """Return every value of a field in wire order; empty when the field is absent."""
        ...

    def set(self, name: str, value: str, /) -> None:
        """Replace every value of a field by one.

        Raises:
            ValueError: The name is no RFC 9110 token, the value holds a control character or one
                outside latin-1, or the field frames the message (``Content-Length``,
                ``Transfer-Encoding``, ``Connection``), which is the engine's business.
        """
        ...

    def add(self, name: str, value: str, /) -> None:
        """Append a field and keep those of the same name.

        Raises:
            ValueError: As for ``set``.
        """
        ...

    def remove(self, name: str, /) -> bool:
        """Remove every value of a field and tell whether there was one."""
        ...

    def items(self) -> list[tuple[str, str]]:
        """Return the (name, value) pairs in wire order, as a copy."""
        ...

    def __contains__(self, name: object, /) -> bool:
        """Tell whether the field is present at least once."""
        ...


class Request(Protocol):
    """The request: what the downstream sent, then what the upstream will get."""

    @property
    def method(self) -> str:
        """The method exactly as sent (``GET``)."""
        ...

    @property
    def path(self) -> str:
        """The canonical path, without query: the same bytes the router and the upstream see."""
        ...

    @property
    def query(self) -> str:
        """The raw query without ``?``; ``""`` when there is none."""
        ...

    def set_query(self, query: str, /) -> None:
        """Put another query in place, without ``?``; ``""`` for none.

        Raises:
            ValueError: It holds a character that no query may: space, ``#``, control or non-ASCII.
        """
        ...

    @property
    def host(self) -> str:
        """The effective host with its port (``X-Forwarded-Host`` when the gateway trusts it)."""
        ...

    @property
    def domain(self) -> str:
        """The effective host in lower case, without port."""
        ...

    @property
    def version(self) -> str:
        """``"1.0"``, ``"1.1"``, ``"2.0"`` or ``"3.0"``."""
        ...

    @property
    def upgrade(self) -> str | None:
        """The protocol that the client asks to change to, ``websocket`` mostly; None when it asks for none."""
        ...

    @property
    def headers(self) -> Headers:
        """The header fields; changes before ``call_backend`` reach the upstream."""
        ...

    @property
    def content_length(self) -> int | None:
        """How long the body says it is, in bytes; ``None`` when it does not say."""
        ...

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head (it may still turn out empty)."""
        ...

    async def read(self, limit: int, /) -> bytes:
        """Read the whole body; a second call returns the same bytes.

        Only in ``async def`` hooks: an inline hook cannot wait. The body is still forwarded.

        Args:
            limit: The most bytes to accept.

        Raises:
            BodyTooLarge: The body is longer; what was read is dropped.
            RuntimeError: The body is on its way to the backend already: it is read before the call, or not at all.

        Cancellation:
            A checkpoint. Cancelled when the downstream goes away. A hook that gives up waiting, by a deadline of its
            own, must answer: a body that is half here cannot be forwarded, so going on answers 500.
        """
        ...


class ResponseHead(Protocol):
    """The response on its way to the downstream: its head, which waits for the hook, and its body."""

    @property
    def status(self) -> int:
        """The status; assign to change it (200 to 599)."""
        ...

    @status.setter
    def status(self, status: int, /) -> None: ...

    @property
    def headers(self) -> Headers:
        """The header fields the downstream will get."""
        ...

    async def read(self, limit: int, /) -> bytes:
        """Read the whole body; a second call returns the same bytes.

        Only in ``async def transform_response``: an inline hook cannot wait, and there is no response
        before. A body that nobody reads streams past; one that is read waits, with its head, until the
        backend has sent all of it. It is forwarded then as it came, unless the hook answers itself.

        The bytes are those of the message: decoded from its chunks, not from its ``Content-Encoding``; none
        for HEAD, 204 and 304. Of a body that a step before this one shortens, what is left.

        Args:
            limit: The most bytes to accept; they are held in memory. 1 MiB is plenty for most uses.

        Raises:
            BodyTooLarge: The body is longer. Nothing is lost: it streams past from where it is.

        Cancellation:
            A checkpoint. Cancelled when the downstream goes away, when the backend breaks off in the middle
            (the downstream gets 502 then), and when the backend or the exchange takes too long (504).
        """
        ...


class ClientCertificate(Protocol):
    """The certificate a client proved to own in its TLS handshake, with the chain it sent."""

    @property
    def chain(self) -> list[bytes]:
        """The chain in DER, the client's own first."""
        ...

    @property
    def subject(self) -> str:
        """The subject, as ``CN=a, OU=b``."""
        ...

    @property
    def issuer(self) -> str:
        """The issuer, as ``CN=a, OU=b``."""
        ...

    @property
    def common_name(self) -> str | None:
        """The subject's first common name."""
        ...

    @property
    def serial(self) -> str:
        """The serial number in hexadecimal, lower case."""
        ...

    @property
    def alternative_names(self) -> list[str]:
        """DNS names, addresses, mail addresses and URIs of the subject alternative name."""
        ...

    @property
    def not_before_s(self) -> int:
        """Valid from, in Unix seconds."""
        ...

    @property
    def not_after_s(self) -> int:
        """Valid until, in Unix seconds."""
        ...

    @property
    def is_trusted(self) -> bool:
        """Whether a trusted authority vouches for it; always, unless validation was relaxed."""
        ...

    def certificates(self) -> "Sequence[ClientCertificate]":
        """Return each certificate of the chain on its own, the client's first."""
        ...


class Exchange(Protocol):
    """One request and its response, with what the gateway knows about them."""

    @property
    def id(self) -> int:
        """Unique in this worker while the exchange lives."""
        ...

    @property
    def unix_time(self) -> float:
        """Now, in Unix seconds: what calendars and tokens speak of. A test sets it."""
        ...

    @property
    def request_id(self) -> int:
        """Otoroshi's id of the request, a snowflake that no other request of the cluster has."""
        ...

    @property
    def received_at(self) -> float:
        """When the request was here, in Unix seconds."""
        ...

    @property
    def proxy_latency_ms(self) -> int:
        """Milliseconds from the request to the first call of the backend; 0 before."""
        ...

    @property
    def upstream_latency_ms(self) -> int | None:
        """Milliseconds from the first call of the backend to its answer; None without one."""
        ...

    @property
    def remaining_calls(self) -> tuple[int, int] | None:
        """Calls that the caller's API key has left today and this month; None when none were counted."""
        ...

    @property
    def client_certificate(self) -> ClientCertificate | None:
        """The certificate the downstream proved to own; ``None`` without TLS or without one."""
        ...

    @property
    def wanted_key_set(self) -> str | None:
        """What the native step of this hook lacks: the settings of a key set, as JSON."""
        ...

    def put_key_set(self, wanted: str, body: bytes | None, now: float, /) -> None:
        """Keep a key set for every exchange of this worker, or (None) note that it cannot be had.

        Args:
            wanted: The settings it was fetched with, as `wanted_key_set` has them.
            body: The set.
            now: The Trio clock, in seconds.

        Raises:
            ValueError: It is no key set; noted as a failure.
        """
        ...

    @property
    def may_ask_again(self) -> bool:
        """Whether `ask_again` does anything.

        Only in ``transform_response``, and not when no attempt is left (``retries`` of the backend's client
        settings), when a plugin answered, or when a body was streamed to the backend that nobody read whole
        before.
        """
        ...

    def ask_again(self) -> None:
        """Drop the backend's answer and send the request again, once this hook returns ``None``.

        For ``transform_response``: what the hook changes in `request` goes along, and the response steps
        run again, from the first, for the answer that comes then. Whoever asks again keeps in `attrs` that
        it did: the next answer may be no better. Nothing happens unless `may_ask_again`.
        """
        ...

    def decide(self, now: float, /) -> bool | tuple[int, list[tuple[str, str]], bytes]:
        """Let the native step decide again that left its decision to this hook.

        Args:
            now: The Trio clock, in seconds.

        Returns:
            True to go on; False when it still cannot decide; else its answer: status, fields, body.
        """
        ...

    @property
    def route_id(self) -> str:
        """The id of the route that won."""
        ...

    @property
    def route_name(self) -> str:
        """The name of the route that won."""
        ...

    @property
    def secured(self) -> bool:
        """Whether the downstream speaks TLS (``X-Forwarded-Proto`` when the gateway trusts it)."""
        ...

    @property
    def remote_address(self) -> str:
        """The downstream's address: what a trusted ``X-Forwarded-For`` says first, else the socket's."""
        ...

    @property
    def forwarded_for(self) -> str:
        """The way so far, for the next hop: a trusted ``X-Forwarded-For``, then the socket's address."""
        ...

    @property
    def listener(self) -> str:
        """The id of the listener that took the connection (``standard-listener``)."""
        ...

    @property
    def matched_path(self) -> str:
        """The part of the path the route's frontend matched; ``""`` for a route declared on ``/``."""
        ...

    @property
    def path_params(self) -> dict[str, str]:
        """The values of the ``:name`` and ``$name<regex>`` segments of the frontend."""
        ...

    @property
    def strip_path(self) -> bool:
        """Whether ``matched_path`` is removed before the upstream is called."""
        ...

    @property
    def target_hostname(self) -> str | None:
        """The host name of the target, from ``transform_request`` on; ``None`` without a target."""
        ...

    @property
    def target_address(self) -> str | None:
        """Where the target is: ``host:port``, an IPv6 address in brackets, or ``unix:`` and a path; ``None`` without a target."""
        ...

    @property
    def upstream_url(self) -> str | None:
        """The whole URL that the backend is asked for, as it stands now; ``None`` without a target."""
        ...

    @property
    def limits(self) -> _core.ExchangeLimits:
        """The counters: windows, quotas, buckets and bans, exact among all workers of the machine.

        ::

            usage = exchange.limits.window(f"mine:{exchange.limits.counted_address}", limit=20)
            if usage.retry_after_s is not None:
                exchange.limits.retry_after(usage.retry_after_s)
                return Refusal(429, "Too much requests")

        Keys are the plugin's own words; prefix them with something of yours.
        """
        ...

    @property
    def request(self) -> Request:
        """The request."""
        ...

    @property
    def response(self) -> ResponseHead | None:
        """The response head, in ``transform_response`` and ``done``; ``None`` before."""
        ...

    @property
    def user(self) -> Mapping[str, Any] | None:
        """The logged-in user in Otoroshi's JSON; ``None`` when nobody is. Assign to log one in."""
        ...

    @user.setter
    def user(self, user: Mapping[str, Any] | None, /) -> None: ...

    @property
    def token(self) -> Mapping[str, Any] | None:
        """The last token that was verified: ``payload``, and ``header`` when it is known."""
        ...

    @property
    def plugins_config(self) -> Mapping[str, Any]:
        """What the global config's ``plugins.config`` says to all plugins, without the slots in it."""
        ...

    def alert(self, name: str, fields: Mapping[str, object], /) -> None:
        """Raise an alert that operators get as an event; of one exchange, 16 are kept.

        Args:
            name: Otoroshi's name of it, such as ``ReactToShellDetectedAlert``.
            fields: Its own facts, as JSON; no secret may be in them.
        """
        ...

    def watch(self, watch: object, /) -> None:
        """Have the gateway read what passes once the connection has changed its protocol.

        For `oto_trio.plugin_api.websockets`; a plugin derives from `WebSocketPlugin` instead.
        """
        ...

    def hide(self, secret: str, /) -> None:
        """Take a text out of whatever the exchange's event tells, for a secret in a header of any name.

        Args:
            secret: The text; of one exchange, 16 are taken out, each of four bytes or more.
        """
        ...

    @property
    def apikey(self) -> _core.ApiKey | None:
        """The API key of the caller. Assign to let a caller in by a key that was found otherwise."""
        ...

    @apikey.setter
    def apikey(self, key: _core.ApiKey | None, /) -> None: ...

    def find_api_key(self, client_id: str, /) -> _core.ApiKey | None:
        """Look a stored API key up."""
        ...

    def note(self, name: str, text: str, /) -> None:
        """Add to the data of the exchange's event; no secret may be in it."""
        ...

    def tell_context(self, name: str, text: str, /) -> None:
        """Give the expressions of later plugins a text: ``${ctx.name}``; an exchange keeps 256."""
        ...

    @property
    def attrs(self) -> dict[str, object]:
        """A scratch space shared by the plugins of this exchange; dies with it.

        Prefix your keys with your plugin id.
        """
        ...

    @property
    def backend_root(self) -> str:
        """What the backend puts before the path; ``""`` when it replaces the whole path by it."""
        ...

    @property
    def upstream_query(self) -> str:
        """The query that the backend gets, without ``?``; assign to change it.

        Raises:
            ValueError: What is assigned has a character that a query may not hold as it is.
        """
        ...

    @upstream_query.setter
    def upstream_query(self, query: str, /) -> None: ...

    def mount(self, app: str, /) -> None:
        """Have an application of this process answer in the backend's place.

        The worker finds it, if the setting ``mounts`` allows it.

        Args:
            app: Its kind and where it is, as in ``asgi shop.web:app``.
        """
        ...

    def add_to_response(self, name: str, value: str, /) -> None:
        """Send a field with whatever answer goes out, a refusal included.

        It is written last, in place of one of the same name.

        Raises:
            ValueError: As for ``Headers.set``.
        """
        ...

    def native(self) -> _core.Exchange:
        """Return the engine's own exchange, for what only the engine does (``Template.render``)."""
        ...


def stripped_path(exchange: Exchange) -> str:
    """Return the path the upstream is asked for, below its root.

    The matched prefix is removed when the route strips it; the result always starts with ``/``.

    Source: Otoroshi's ``strip_path``.
    """
    path = exchange.request.path
    if exchange.strip_path and exchange.matched_path:
        path = path.removeprefix(exchange.matched_path)
    return path if path.startswith("/") else "/" + path
