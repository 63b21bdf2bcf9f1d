"""The URL of a Cassandra store, read and checked: ``cassandra://user:password@host:9042,other/keyspace?datacenter=dc1``.

Nothing here needs a Cassandra client, so that settings can be checked without one.
"""

from __future__ import annotations

import re
import ssl
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from oto_trio.control.store.redis_url import MOST_HOSTS, shown_host

__all__ = [
    "DEFAULT_KEYSPACE",
    "CassandraUrl",
    "CassandraUrlError",
    "cassandra_url_problem",
    "read_cassandra_url",
]

DEFAULT_KEYSPACE: Final = "oto_trio"
"""The keyspace, unless the URL names another one."""

DEFAULT_STORE: Final = "oto-trio"
"""The name of the store in its keyspace, unless the URL gives another one."""

_PORT: Final = 9042
_KEYSPACE: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_STORE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_DATACENTER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REPLICAS: Final = re.compile(r"\s*'?([A-Za-z0-9_.-]{1,64})'?\s*:\s*'?([1-9][0-9]?)'?\s*")
_STRATEGIES: Final = ("SimpleStrategy", "NetworkTopologyStrategy")
_OPTIONS: Final = frozenset(
    {
        *("store", "datacenter", "consistency", "timeout", "tls", "ca", "cert", "key"),
        *("replicationStrategy", "replicationFactor", "replicationOptions", "durableWrites"),
    }
)
_EXAMPLE: Final = "write it like cassandra://user:password@host:9042/keyspace?datacenter=dc1"


class CassandraUrlError(ValueError):
    """A URL names no Cassandra store; the message says why and what to write, and repeats no password."""


class CassandraUrl(msgspec.Struct, frozen=True):
    """Where a Cassandra store is, and how to get in."""

    hosts: tuple[tuple[str, int], ...]
    """Host and port of some nodes; the others are learned from them."""
    keyspace: str = DEFAULT_KEYSPACE
    store: str = DEFAULT_STORE
    """Two stores in one keyspace have two names."""
    username: str | None = None
    password: str | None = None
    datacenter: str | None = None
    """The one whose nodes are asked; None = that of the first node that answers."""
    is_local: bool = False
    """Whether a quorum of that datacenter alone decides."""
    timeout_s: float = 10.0
    """Seconds that one request may take."""
    replication: tuple[tuple[str, int], ...] = ()
    """Replicas by datacenter, when the keyspace has to be made; none = `factor` anywhere."""
    factor: int = 1
    has_durable_writes: bool = True
    """Whether a keyspace that has to be made has a commit log."""
    is_secure: bool = False
    ca: str | None = None
    """File of the authorities that are trusted; None = those of the system."""
    cert: str | None = None
    """File of the certificate shown to the servers."""
    key: str | None = None
    """File of its private key."""

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without user and password."""
        hosts = ",".join(shown_host(host, port) for host, port in self.hosts)
        return f"cassandra://{hosts}/{self.keyspace}?store={self.store}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return how TLS is spoken; None without TLS. Certificate and host name are always checked.

        Raises:
            OSError: A file cannot be read, or holds no certificate or key (`ssl.SSLError`).
        """
        if not self.is_secure:
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context


def read_cassandra_url(text: str) -> CassandraUrl:
    """Read a URL. User, password and what options say may be percent-encoded.

    Raises:
        CassandraUrlError: It is not right.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        # The error of the standard library repeats the text, and with it the password.
        raise _no_hosts() from None
    if parts.scheme != "cassandra":
        raise CassandraUrlError(f"its scheme is not cassandra; {_EXAMPLE}")
    user, _, where = parts.netloc.rpartition("@")
    if parts.fragment:
        raise CassandraUrlError(f"it has a '#'; percent-encode what is special, and {_EXAMPLE}")
    hosts = _hosts(where)
    keyspace = parts.path.strip("/") or DEFAULT_KEYSPACE
    if not _KEYSPACE.fullmatch(keyspace):
        raise CassandraUrlError(
            "its path is no keyspace; give one of 1 to 48 lower-case letters, digits and _, "
            "beginning with a letter"
        )
    username, colon, password = user.partition(":")
    if bool(username) != bool(password) or (colon and not username):
        raise CassandraUrlError(f"it has a user or a password alone; give both, and {_EXAMPLE}")
    options = _options(parts.query)
    return CassandraUrl(
        hosts=hosts,
        keyspace=keyspace,
        store=options.get("store", DEFAULT_STORE),
        username=unquote(username) or None,
        password=unquote(password) or None,
        datacenter=options.get("datacenter"),
        is_local=_one_of(options, "consistency", ("quorum", "local_quorum")) == "local_quorum",
        timeout_s=_number(options, "timeout", 10.0),
        replication=_replication(options),
        factor=int(_number(options, "replicationFactor", 1)),
        has_durable_writes=_one_of(options, "durableWrites", ("true", "false")) == "true",
        is_secure=_one_of(options, "tls", ("false", "true")) == "true",
        ca=options.get("ca"),
        cert=options.get("cert"),
        key=options.get("key"),
    )


def cassandra_url_problem(text: str) -> tuple[str, str] | None:
    """Say what is wrong with a URL, and what to write; None = nothing. No password is repeated."""
    try:
        read_cassandra_url(text)
    except CassandraUrlError as error:
        message, _, fix = str(error).partition("; ")
        return message, fix
    return None


def _no_hosts() -> CassandraUrlError:
    return CassandraUrlError(
        "this is no URL with hosts and ports of 1 to 65535; percent-encode what is special in a "
        f"password, and {_EXAMPLE}"
    )


def _hosts(text: str) -> tuple[tuple[str, int], ...]:
    """Read the hosts, with their ports.

    Raises:
        CassandraUrlError: One of them is not right.
    """
    hosts: list[tuple[str, int]] = []
    for each in text.split(","):
        try:
            parts = urlsplit(f"//{each}")
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _no_hosts() from None
        if not host or port == 0:
            raise _no_hosts()
        hosts.append((host, port or _PORT))
    if len(hosts) > MOST_HOSTS:
        raise CassandraUrlError(
            f"it names {len(hosts)} hosts; name {MOST_HOSTS} at most, they know the others"
        )
    return tuple(hosts)


def _options(query: str) -> dict[str, str]:
    """Read what stands behind the question mark.

    Raises:
        CassandraUrlError: It is not right.
    """
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise CassandraUrlError(
                f"{name[:40]!r} is no option; use {', '.join(sorted(_OPTIONS))}"
            )
        if name in options or not value:
            raise CassandraUrlError(
                f"the option {name!r} is empty or there twice; give it one value"
            )
        options[name] = value
    for name, pattern in (("store", _STORE), ("datacenter", _DATACENTER)):
        if not pattern.fullmatch(options.get(name, "x")):
            raise CassandraUrlError(
                f"the option {name!r} is not 1 to 64 letters, digits and _ . -; choose another one"
            )
    if options.get("tls") != "true" and options.keys() & {"ca", "cert", "key"}:
        raise CassandraUrlError("the options ca, cert and key are there without TLS; add tls=true")
    if "key" in options and "cert" not in options:
        raise CassandraUrlError(
            "the option 'key' stands alone; add 'cert', the certificate it belongs to"
        )
    return options


def _one_of(options: dict[str, str], name: str, choices: tuple[str, ...]) -> str:
    """Return one of some words; the first is what no word means.

    Raises:
        CassandraUrlError: It is another one.
    """
    value = options.get(name, choices[0]).lower()
    if value not in choices:
        raise CassandraUrlError(f"the option {name!r} is wrong; write one of {', '.join(choices)}")
    return value


def _number(options: dict[str, str], name: str, default: float) -> float:
    """Return a number of 1 to 600.

    Raises:
        CassandraUrlError: It is none.
    """
    text = options.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 600):
        raise CassandraUrlError(f"the option {name!r} is no whole number of 1 to 600; correct it")
    return int(text)


def _replication(options: dict[str, str]) -> tuple[tuple[str, int], ...]:
    """Return the replicas of each datacenter, as Otoroshi writes them: ``'dc1': 3, 'dc2': 2``.

    Raises:
        CassandraUrlError: They are not right.
    """
    strategy = options.get("replicationStrategy", _STRATEGIES["replicationOptions" in options])
    if strategy not in _STRATEGIES:
        raise CassandraUrlError(
            f"the option 'replicationStrategy' is wrong; write one of {', '.join(_STRATEGIES)}"
        )
    if strategy == _STRATEGIES[0]:
        return ()
    found = [_REPLICAS.fullmatch(each) for each in options.get("replicationOptions", "").split(",")]
    if not all(found):
        raise CassandraUrlError(
            "the option 'replicationOptions' does not say how many replicas each datacenter has; "
            "write it like dc1:3,dc2:3"
        )
    return tuple((match[1], int(match[2])) for match in found if match is not None)
