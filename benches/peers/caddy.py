"""Caddy: GOMAXPROCS=1, no TLS, no admin endpoint.

Its reverse proxy adds X-Forwarded-* and Via whatever it is told; removing them again would cost
it more. It matches routes one after the other, so many routes cost it in proportion.
"""

import json
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from benches.credentials import server_pair
from benches.job import Job
from benches.peers.proxy import CommandLine, Proxy

IDLE = "300s"


class Caddy(Proxy):
    """Caddy's reverse_proxy; one handler (so one connection pool) for all routes."""

    name: ClassVar[str] = "caddy"
    install: ClassVar[str] = "apt-get install caddy"
    limits_rates: ClassVar[bool] = False

    @override
    def lacks(self, job: Job) -> str | None:
        return "which passes on no plain TCP without a module" if job.tcp else None

    @override
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        config = folder / "caddy.json"
        config.write_text(json.dumps(self.document(job, port)))
        return CommandLine(
            (self.executable() or self.name, "run", "--config", str(config)),
            {
                "GOMAXPROCS": "1",
                "HOME": str(folder),
                "XDG_CONFIG_HOME": str(folder),
                "XDG_DATA_HOME": str(folder),
            },
        )

    def document(self, job: Job, port: int) -> dict[str, Any]:
        """Return Caddy's JSON configuration for `job`."""
        proxy = {
            "handler": "reverse_proxy",
            "transport": {
                "protocol": "http",
                "compression": False,
                "versions": ["h2c", "2"] if job.grpc else ["1.1"],
                "keep_alive": {
                    "enabled": True,
                    "max_idle_conns_per_host": 256,
                    "idle_timeout": IDLE,
                },
            },
            "upstreams": [{"dial": f"127.0.0.1:{job.upstream_port}"}],
        }
        protocols = ["h1", *(["h2"] if job.http2 else []), *(["h3"] if job.http3 else [])]
        alpn = "h3" if job.http3 else "h2" if job.http2 else "http/1.1"
        not_found = {"handler": "static_response", "status_code": 404}
        routes: list[dict[str, Any]] = []
        for domain, prefixes in job.by_domain().items():
            # The first route that fits names itself in a variable and skips the rest of its
            # group; what none named is refused.
            named = [
                {
                    "group": "routes",
                    "match": [{"path": [f"{prefix}*"]}],
                    "handle": [{"handler": "vars", "route": f"{domain}{prefix}"}],
                }
                for prefix in prefixes
            ]
            refused = {
                "match": [{"vars": {"{http.vars.route}": [""]}}],
                "handle": [not_found],
                "terminal": True,
            }
            inner = [*named, refused, {"handle": [proxy]}]
            routes.append(
                {
                    "match": [{"host": [domain]}],
                    "handle": [{"handler": "subroute", "routes": inner}],
                    "terminal": True,
                }
            )
        routes.append({"handle": [not_found]})
        return {
            "admin": {"disabled": True, "config": {"persist": False}},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
            "apps": {
                **({"tls": {"certificates": {"load_pem": [pem()]}}} if job.tls else {}),
                "http": {
                    "servers": {
                        "bench": {
                            "listen": [f"127.0.0.1:{port}"],
                            "protocols": protocols,
                            "automatic_https": {"disable": True},
                            "idle_timeout": IDLE,
                            "routes": routes,
                            **({"tls_connection_policies": [{"alpn": [alpn]}]} if job.tls else {}),
                        }
                    }
                },
            },
        }


def pem() -> dict[str, str]:
    """Return the bench's certificate as Caddy loads it."""
    pair = server_pair()
    return {"certificate": pair.certificate, "key": pair.key}
