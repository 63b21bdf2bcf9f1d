"""oto-trio itself: its command line, its control plane and one worker."""

import compileall
import functools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from typing_extensions import override

import oto_trio
from benches.admin import KEY as ADMIN_KEY
from benches.credentials import ISSUER, key_id, key_secret, server_pair, signer
from benches.job import Guard, Job, PluginKind, Route
from benches.launch import free_port
from benches.peers.proxy import CommandLine, Proxy

COMMAND: Final = (
    "{oto} serve --workers {workers} --http-port {port} --admin-port {admin_port}"
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
    def lacks(self, job: Job) -> str | None:
        # OTO_BENCH_CMD may name another version.
        if job.http3 and "--http3-port" not in serve_help(self.executable() or self.name):
            return "whose version here speaks no HTTP/3"
        return None

    @override
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        _compile()
        data = folder / "data"
        (data / "plugins").mkdir(parents=True)
        if job.plugin:
            (data / "plugins" / "mark_request.py").write_text(plugin_source(job.plugin))
        config = folder / "routes.json"
        routes = [route_document(number, route, job) for number, route in enumerate(job.routes)]
        document: dict[str, Any] = {"routes": routes, **security_entities(job)}
        if job.tcp:
            document = {"tcp-services": [tcp_service(port, job)]}
        config.write_text(json.dumps(document))
        template = os.environ.get("OTO_BENCH_CMD", COMMAND)
        admin_port = free_port()
        values = {
            "oto": self.executable() or self.name,
            "workers": job.workers,
            "port": port,
            "admin_port": admin_port,
            "data": data,
            "config": config,
        }
        argv = [word.format(**values) for word in shlex.split(template)]
        if job.tcp:
            # The service opens the port itself; the one for HTTP is another that nobody uses.
            argv[argv.index("--http-port") + 1] = str(free_port())
        elif job.tls:
            # The one port is the secure one; the plain one is another that nobody uses.
            argv[argv.index("--http-port") + 1] = str(free_port())
            argv += ["--https-port", str(port)]
        if job.http3:
            argv += ["--http3-port", str(port)]
        if job.guard is not None:
            argv += ["--access-log", str(folder / "access.log")]
        client_id, secret = ADMIN_KEY
        environment = {
            "OTO_TRIO_ADMIN_API_CLIENT_ID": client_id,
            "OTO_TRIO_ADMIN_API_CLIENT_SECRET": secret,
        }
        return CommandLine(tuple(argv), environment, admin_port)

    @override
    def memory_parts(self, leader: int, resident: Mapping[int, int]) -> dict[str, int]:
        worker = sum(size for pid, size in resident.items() if pid != leader)
        return {"control_plane": resident.get(leader, 0), "worker": worker}


@functools.cache
def _compile() -> None:
    """Compile the package's modules, as an installation does; a checkout may not have been run yet."""
    compileall.compile_dir(Path(oto_trio.__file__).parent, quiet=2)


@functools.cache
def serve_help(program: str) -> str:
    """Return what `oto-trio serve` says of its options."""
    done = subprocess.run([program, "serve", "--help"], capture_output=True, text=True, check=False)
    return done.stdout


def plugin_source(kind: PluginKind) -> str:
    """Return the source of the user plugin, with an inline or an async hook."""
    return PLUGIN.format(id=PLUGIN_ID, define="def" if kind == "inline" else "async def")


def route_document(number: int, route: Route, job: Job) -> dict[str, Any]:
    """Return one route in Otoroshi's JSON."""
    plugins: list[dict[str, Any]] = []
    if job.plugin:
        plugins.append({"plugin": PLUGIN_ID, "enabled": True, "config": {}})
    if job.guard is not None:
        plugins += guard_slots(job.guard)
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
                    "protocol": "HTTP/2.0" if job.grpc else "HTTP/1.1",
                }
            ],
            "root": "/",
            "rewrite": False,
            "load_balancing": {"type": "RoundRobin"},
        },
        "plugins": plugins,
    }


def tcp_service(port: int, job: Job) -> dict[str, Any]:
    """Return a TCP service at the port, in Otoroshi's JSON."""
    return {
        "id": "tcp_bench",
        "name": "bench",
        "description": "",
        "enabled": True,
        "port": port,
        "interface": "127.0.0.1",
        "tls": "Disabled",
        "rules": [{"domain": "*", "targets": [{"host": "127.0.0.1", "port": job.upstream_port}]}],
    }


NG: Final = "cp:otoroshi.next.plugins."
VERIFIER: Final = "jwt_verifier_bench"


def guard_slots(guard: Guard) -> list[dict[str, Any]]:
    """Return the plugins that check an API key and a token, and limit."""
    bucket: dict[str, Any] = {"capacity": guard.rate, "refillRequestedTokens": guard.rate}
    if guard.rate == 0:
        bucket = {"capacity": 1, "refillRequestedTokens": 1, "refillRequestIntervalMs": 3_600_000}
    slots: list[tuple[str, dict[str, Any]]] = [("ApikeyCalls", {"update_quotas": True})]
    if guard.token is not None:
        slots.append(("JwtVerification", {"verifiers": [VERIFIER]}))
    slots.append(("LocalTokenBucket", bucket))
    return [{"plugin": NG + name, "enabled": True, "config": config} for name, config in slots]


def security_entities(job: Job) -> dict[str, Any]:
    """Return the certificates, keys and verifiers of a job, as a configuration file has them."""
    entities: dict[str, Any] = {}
    if job.tls:
        pair = server_pair()
        entities["certificates"] = [
            {
                "id": "cert_bench",
                "name": "bench",
                "domain": "bench.test",
                "chain": pair.certificate,
                "privateKey": pair.key,
            }
        ]
    if job.guard is None:
        return entities
    entities["apikeys"] = [
        {
            "clientId": key_id(number),
            "clientSecret": key_secret(number),
            "clientName": key_id(number),
            "authorizedEntities": ["group_default"],
            "throttlingQuota": 10_000_000_000,
            "dailyQuota": 10_000_000_000,
            "monthlyQuota": 10_000_000_000,
        }
        for number in range(job.guard.api_keys)
    ]
    if job.guard.token is not None:
        made = signer(job.guard.token)
        algorithm = {
            "HS256": {"type": "HSAlgoSettings", "size": 256, "secret": made.secret},
            "RS256": {"type": "RSAlgoSettings", "size": 256, "publicKey": made.public_pem},
            "ES256": {"type": "ESAlgoSettings", "size": 256, "publicKey": made.public_pem},
        }[job.guard.token]
        entities["jwt-verifiers"] = [
            {
                "id": VERIFIER,
                "name": "bench",
                "strict": True,
                "source": {"type": "InHeader", "name": "Authorization", "remove": "Bearer "},
                "algoSettings": algorithm,
                "strategy": {
                    "type": "PassThrough",
                    "verificationSettings": {"fields": {"iss": ISSUER}, "arrayFields": {}},
                },
            }
        ]
    return entities
