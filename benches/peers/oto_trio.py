"""oto-trio itself: its command line, its control plane and one worker."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from typing_extensions import override

from benches.job import Job, PluginKind, Route
from benches.launch import free_port
from benches.peers.proxy import CommandLine, Proxy

COMMAND: Final = (
    "{oto} serve --workers 1 --http-port {port} --admin-port {admin_port}"
    " --data {data} --config {config} --log-format json"
)
"""Overridden by the environment variable OTO_BENCH_CMD, with the same placeholders."""

PLUGIN_ID: Final = "cp:bench.MarkRequest"
PLUGIN: Final = '''\
"""Reads one request header and sets another: the least that a real plugin does."""

from oto_trio.plugin_api import Exchange, Plugin


class MarkRequest(Plugin):
    """Mark the request for the upstream."""

    id = "{id}"
    name = "Mark request"
    description = "Sets one request header from another."
    categories = ("bench",)

    {define} transform_request(self, exchange: Exchange) -> None:
        """Copy the user agent."""
        headers = exchange.request.headers
        headers.set("x-bench-agent", headers.get("user-agent") or "none")
'''


class OtoTrio(Proxy):
    """oto-trio through its command line, with a configuration file."""

    name: ClassVar[str] = "oto-trio"
    install: ClassVar[str] = "make build"

    @override
    def executable(self) -> str | None:
        if "OTO_BENCH_CMD" in os.environ:
            return shlex.split(os.environ["OTO_BENCH_CMD"])[0]
        program = Path(sys.executable).with_name("oto-trio")
        return str(program) if program.exists() else None

    @override
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        data = folder / "data"
        (data / "plugins").mkdir(parents=True)
        if job.plugin:
            (data / "plugins" / "mark_request.py").write_text(plugin_source(job.plugin))
        config = folder / "routes.json"
        routes = [route_document(number, route, job) for number, route in enumerate(job.routes)]
        config.write_text(json.dumps({"routes": routes}))
        template = os.environ.get("OTO_BENCH_CMD", COMMAND)
        values = {
            "oto": self.executable() or self.name,
            "port": port,
            "admin_port": free_port(),
            "data": data,
            "config": config,
        }
        return CommandLine(tuple(word.format(**values) for word in shlex.split(template)))

    @override
    def memory_parts(self, leader: int, resident: Mapping[int, int]) -> dict[str, int]:
        worker = sum(size for pid, size in resident.items() if pid != leader)
        return {"control_plane": resident.get(leader, 0), "worker": worker}


def plugin_source(kind: PluginKind) -> str:
    """Return the source of the user plugin, with an inline or an async hook."""
    return PLUGIN.format(id=PLUGIN_ID, define="def" if kind == "inline" else "async def")


def route_document(number: int, route: Route, job: Job) -> dict[str, Any]:
    """Return one route in Otoroshi's JSON."""
    plugins = [{"plugin": PLUGIN_ID, "enabled": True, "config": {}}] if job.plugin else []
    return {
        "id": f"route_bench_{number}",
        "name": f"bench {number}",
        "enabled": True,
        "frontend": {
            # A domain with a path of "/" alone is written without it.
            "domains": [f"{route.domain}{route.prefix.rstrip('/')}"],
            "strip_path": False,
            "exact": False,
            "headers": {},
            "query": {},
            "cookies": {},
            "methods": [],
        },
        "backend": {
            "targets": [
                {
                    "id": "upstream",
                    "hostname": "127.0.0.1",
                    "port": job.upstream_port,
                    "tls": False,
                }
            ],
            "root": "/",
            "rewrite": False,
            "load_balancing": {"type": "RoundRobin"},
        },
        "plugins": plugins,
    }
