"""HAProxy: one process, one thread."""

from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from benches.job import Job
from benches.peers.proxy import CommandLine, Proxy

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

frontend bench
    bind 127.0.0.1:{port}
    use_backend origin if {condition}
    default_backend nothing

backend nothing
    http-request return status 404

backend origin
    server origin 127.0.0.1:{upstream_port}
"""


class HAProxy(Proxy):
    """HAProxy in HTTP mode; many routes are a map of prefixes, which it looks up in a tree."""

    name: ClassVar[str] = "haproxy"
    install: ClassVar[str] = "apt-get install haproxy"

    @override
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        if len(job.routes) == 1:
            (route,) = job.routes
            condition = f"{{ hdr(host) {route.domain} }} {{ path_beg {route.prefix} }}"
        else:
            table = folder / "routes.map"
            table.write_text(
                "".join(f"{route.domain}{route.prefix} origin\n" for route in job.routes)
            )
            condition = f"{{ base,map_beg({table}) -m found }}"
        config = folder / "haproxy.cfg"
        config.write_text(
            CONFIG.format(port=port, upstream_port=job.upstream_port, condition=condition)
        )
        return CommandLine((self.executable() or self.name, "-db", "-f", str(config)))
