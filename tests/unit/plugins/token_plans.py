"""One request through a route with one plugin that deals with tokens, as the engine runs it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, cast

import jwt
import msgspec
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from oto_trio._core import Snapshot
from oto_trio.gateway.compile import Hooks, RouteCompiler
from oto_trio.model.route import read_route
from oto_trio.plugin_api import Refusal, Response
from oto_trio.plugin_api.registry import builtin_plugins

__all__ = [
    "NG",
    "NOW",
    "SECRET",
    "Sent",
    "certificate",
    "certificate_row",
    "private_key",
    "send",
    "token",
    "verifier",
]

NG: Final = "cp:otoroshi.next.plugins."
NOW: Final = 1_700_000_000
SECRET: Final = "a secret that is long enough for the library and then some"

Row = tuple[str, str, bytes]


class Sent(msgspec.Struct):
    """What came of a request: what the backend gets, or the answer."""

    status: int | None
    """The answer's; None when the request goes to the backend."""
    fields: dict[str, str]
    body: bytes = b""
    user: dict[str, Any] | None = None

    @property
    def json(self) -> Any:
        """The answer's body."""
        return msgspec.json.decode(self.body)


def verifier(**parts: Any) -> Row:
    """Make a verifier ``v`` of tokens signed with the secret, in ``Authorization``."""
    document: dict[str, Any] = {
        "id": "v",
        "name": "v",
        "strict": True,
        "source": {"type": "InHeader", "name": "Authorization", "remove": "Bearer "},
        "algoSettings": {"type": "HSAlgoSettings", "size": 256, "secret": SECRET},
        "strategy": {"type": "PassThrough", "verificationSettings": {}},
        **parts,
    }
    return "jwt-verifiers", "v", msgspec.json.encode(document)


def token(secret: str = SECRET, **claims: Any) -> tuple[str, str]:
    """Sign claims; return the header field."""
    return "Authorization", "Bearer " + jwt.encode(claims, secret, "HS256")


@cache
def private_key(name: str) -> Any:
    """Make a key once a name: RSA, or P-256 for names that begin with ``ec``."""
    if name.startswith("ec"):
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate(name: str) -> dict[str, Any]:
    """Make the entity of a certificate for such a key."""
    key = private_key(name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime(2023, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "id": name,
        "chain": made.public_bytes(serialization.Encoding.PEM).decode(),
        "privateKey": private.decode(),
    }


def certificate_row(name: str, **parts: Any) -> Row:
    """Return the certificate as a row of a snapshot."""
    return "certificates", name, msgspec.json.encode({**certificate(name), **parts})


def send(
    plugin: str,
    config: dict[str, Any],
    *fields: tuple[str, str],
    entities: tuple[Row, ...] = (),
    method: str = "GET",
    user: dict[str, Any] | None = None,
    secured: bool = False,
    after: tuple[tuple[str, dict[str, Any]], ...] = (),
) -> Sent:
    """Run one request through the plan of a plugin, and of those after it, hooks included."""
    slots = [{"plugin": NG + name, "config": parts} for name, parts in ((plugin, config), *after)]
    document = {
        "id": "r",
        "name": "orders",
        "frontend": {"domains": ["a.test"]},
        "backend": {"targets": [{"hostname": "b", "port": 1}]},
        "plugins": slots,
    }
    hooks = Hooks()
    lowered = RouteCompiler(builtin_plugins(), hooks).compile(read_route(document), {})
    assert lowered.problems == ()
    snapshot = Snapshot().apply([lowered.document], [], None, list(entities))
    raw = [(name.encode(), value.encode()) for name, value in fields]
    exchange = snapshot.begin(
        method.encode(), b"/x", [(b"Host", b"a.test"), *raw], unix_time=float(NOW), secured=secured
    )
    exchange.user = user
    decision: tuple[Any, ...] = exchange.advance()
    while decision[0] == "python":
        inline = cast("Any", hooks.inline[decision[1]])
        call = cast("Any", hooks.suspending[decision[1]])
        answer: object = inline(exchange) if inline else trio.run(call, exchange)
        if isinstance(answer, Response):
            decision = exchange.respond(answer.status, list(answer.headers), answer.body)
        elif isinstance(answer, Refusal):
            decision = exchange.refuse(answer.status, answer.message, answer.cause)
        else:
            decision = exchange.advance()
    if decision[0] == "forward":
        return Sent(None, _texts(decision[4]), user=_user(exchange))
    assert decision[0] == "reply"
    return Sent(decision[1], _texts(decision[2]), decision[3], _user(exchange))


def _user(exchange: Any) -> dict[str, Any] | None:
    """Return who is logged in."""
    return cast("dict[str, Any] | None", exchange.user)


def _texts(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in fields}
