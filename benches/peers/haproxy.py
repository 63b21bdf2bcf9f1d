"""HAProxy: one process, one thread."""

from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from benches.credentials import key_id, key_secret, signer
from benches.job import Guard, Job
from benches.peers.proxy import CommandLine, Proxy, server_file

CONFIG = """\
global
    nbthread 1
    maxconn 16000
    no strict-limits

defaults
    mode http
    no log
    http-reuse always
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
    timeout tunnel 1h

frontend bench
    bind 127.0.0.1:{port}{tls}
{guard}    use_backend origin if {condition}
    default_backend nothing

backend nothing
    http-request return status 404

backend origin
    server origin 127.0.0.1:{upstream_port}{proto}
"""

# With `splice-auto` it copies, which costs it twice as much here.
TCP_CONFIG = """\
global
    nbthread 1
    maxconn 16000
    no strict-limits

defaults
    mode tcp
    no log
    option splice-request
    option splice-response
    timeout connect 5s
    timeout client 300s
    timeout server 300s

listen bench
    bind 127.0.0.1:{port}
    server origin 127.0.0.1:{upstream_port}
"""


class HAProxy(Proxy):
    """HAProxy in HTTP mode; many routes are a map of prefixes, which it looks up in a tree."""

    name: ClassVar[str] = "haproxy"
    install: ClassVar[str] = "apt-get install haproxy"

    @override
    def lacks(self, job: Job) -> str | None:
        return "whose build in Debian speaks no HTTP/3" if job.http3 else None

    @override
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        config = folder / "haproxy.cfg"
        command = CommandLine((self.executable() or self.name, "-db", "-f", str(config)))
        if job.tcp:
            config.write_text(TCP_CONFIG.format(port=port, upstream_port=job.upstream_port))
            return command
        if len(job.routes) == 1:
            (route,) = job.routes
            condition = f"{{ hdr(host) {route.domain} }} {{ path_beg {route.prefix} }}"
        else:
            table = folder / "routes.map"
            table.write_text(
                "".join(f"{route.domain}{route.prefix} origin\n" for route in job.routes)
            )
            condition = f"{{ base,map_beg({table}) -m found }}"
        tls = ""
        if job.tls:
            alpn = "h2" if job.http2 else "http/1.1"
            tls = f" ssl crt {server_file(folder)} alpn {alpn} ssl-min-ver TLSv1.2"
        config.write_text(
            CONFIG.format(
                port=port,
                upstream_port=job.upstream_port,
                condition=condition,
                tls=tls,
                proto=" proto h2" if job.grpc else "",
                guard="" if job.guard is None else guarded(job.guard, folder),
            )
        )
        return command


DENY = "http-request deny deny_status 401 unless"


def guarded(guard: Guard, folder: Path) -> str:
    """Return the lines of the frontend that check an API key and a token, limit, and log."""
    keys = folder / "keys.map"
    keys.write_text(
        "".join(f"{key_secret(number)} {key_id(number)}\n" for number in range(guard.api_keys))
    )
    lines = [
        "log stdout format raw local0",
        "option httplog",
        f"{DENY} {{ req.hdr(Otoroshi-Client-Secret),map_str({keys}) -m found }}",
        "stick-table type string len 64 size 1m expire 60s store http_req_rate(10s)",
        "http-request track-sc0 req.hdr(Otoroshi-Client-Id)",
        f"http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {guard.rate} }}",
    ]
    if guard.token is not None:
        made = signer(guard.token)
        key = made.secret
        if made.public_pem:
            pem = folder / "public.pem"
            pem.write_text(made.public_pem)
            key = str(pem)
        lines += [
            "http-request set-var(txn.bearer) http_auth_bearer",
            f"{DENY} {{ var(txn.bearer),jwt_header_query('$.alg') -m str {made.algorithm} }}",
            f"{DENY} {{ var(txn.bearer),jwt_verify({made.algorithm},{key}) 1 }}",
            "http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')",
            "http-request set-var(txn.now) date()",
            "http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }",
        ]
    return "".join(f"    {line}\n" for line in lines)
