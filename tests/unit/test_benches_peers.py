"""What the proxies are configured with."""

import itertools
import json
import os
import resource
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from benches.admin import KEY as ADMIN_KEY
from benches.errors import BenchError
from benches.job import HOST, Guard, Job, route_table
from benches.job import Route as BenchRoute
from benches.peers import OTO_TRIO, PEERS
from benches.peers.envoy import Envoy, routing
from benches.peers.oto_trio import PLUGIN_ID, plugin_source, route_document
from benches.scenarios import SCENARIOS, Conditions
from benches.scenarios.idle import Idle
from benches.scenarios.importing import export
from benches.scenarios.websocket import WebSocketIdle
from oto_trio.control.admin_api.full_import import read_export
from oto_trio.model.api_key import ApiKey
from oto_trio.model.document import inspect_document, write_document
from oto_trio.model.route import Route, read_route
from oto_trio.model.tcp_service import TcpService
from oto_trio.plugin_api.folder import FolderPlugins

CONDITIONS = Conditions(duration_s=1, domains=10)


@pytest.mark.parametrize(("count", "domains"), [(10, 10), (10_000, 10), (1234, 7), (5, 1)])
def test_a_route_table_is_even_and_without_doubles(count: int, domains: int) -> None:
    table = route_table(count, domains)
    assert len(set(table)) == count
    sizes = {len(prefixes) for prefixes in Job(1, routes=table).by_domain().values()}
    assert len(Job(1, routes=table).by_domain()) == domains
    assert max(sizes) - min(sizes) <= 1


def test_no_route_of_a_table_begins_like_another() -> None:
    prefixes = Job(1, routes=route_table(2_000, 2)).by_domain()[f"api0.{HOST}"]
    ordered = sorted(prefix.rstrip("/") for prefix in prefixes)
    assert not any(b.startswith(a) for a, b in itertools.pairwise(ordered))


@pytest.mark.parametrize(("count", "domains"), [(9, 10), (10, 0)])
def test_more_domains_than_routes_are_refused(count: int, domains: int) -> None:
    with pytest.raises(ValueError, match="cannot be spread"):
        route_table(count, domains)


def test_the_many_route_scenarios_differ_in_the_number_of_routes_only() -> None:
    jobs = [SCENARIOS[name].job(9, CONDITIONS) for name in ("routes10", "routes10k", "routes100k")]
    assert [len(job.routes) for job in jobs] == [10, 10_000, 100_000]
    assert {len(job.by_domain()) for job in jobs} == {10}
    base = SCENARIOS["routes10k"].baseline(9, CONDITIONS)
    assert base == ("oto-trio-routes10", jobs[0])
    assert SCENARIOS["routes10"].baseline(9, CONDITIONS) is None


def test_only_the_python_scenarios_bring_a_plugin() -> None:
    plugins = {name: scenario.job(9, CONDITIONS).plugin for name, scenario in SCENARIOS.items()}
    named = {name: plugin for name, plugin in plugins.items() if plugin}
    assert named == {"python-inline": "inline", "python-async": "async"}


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_a_configuration_names_every_route_and_the_upstream(peer: object, tmp_path: Path) -> None:
    proxy = next(each for each in PEERS.values() if each is peer)
    job = Job(9321, routes=route_table(30, 3))
    command = proxy.configure(job, 18_080, tmp_path)
    text = "".join(path.read_text() for path in tmp_path.iterdir() if path.is_file())
    assert "9321" in text
    assert "18080" in text
    assert all(route.domain in text and route.prefix in text for route in job.routes)
    assert any(str(tmp_path) in word for word in command.argv)


CHECKS = {
    "nginx": ["-t"],
    "haproxy": ["-c"],
    "caddy": ["validate"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("count", [1, 20])
def test_an_installed_peer_accepts_its_configuration(name: str, count: int, tmp_path: Path) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    routes = route_table(count, count) if count > 1 else Job(1).routes
    command = PEERS[name].configure(Job(9321, routes=routes, streams=True), 18_080, tmp_path)
    argv = [*command.argv, *CHECKS[name]]
    if name == "caddy":
        argv = [command.argv[0], "validate", *command.argv[2:]]
    done = subprocess.run(
        argv, env=dict(command.environment), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


PROTOCOLS = {
    "tcp": Job(9321, tcp=True),
    "websocket": Job(9321, websocket=True),
    "grpc": Job(9321, tls=True, http2=True, grpc=True),
    "h2-large": Job(9321, tls=True, http2=True, streams=True),
    "h3": Job(9321, tls=True, http3=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("job", PROTOCOLS.values(), ids=PROTOCOLS)
def test_an_installed_peer_accepts_its_configuration_for_every_protocol(
    name: str, job: Job, tmp_path: Path
) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    if (reason := PEERS[name].lacks(job)) is not None:
        pytest.skip(f"without {name}, {reason}")
    command = PEERS[name].configure(job, 18_080, tmp_path)
    argv = [*command.argv, *CHECKS[name]]
    if name == "caddy":
        argv = [command.argv[0], "validate", *command.argv[2:]]
    environment = {**os.environ, **command.environment}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_caddy_has_no_word_for_tcp() -> None:
    assert PEERS["caddy"].lacks(PROTOCOLS["tcp"])
    for name in ("haproxy", "envoy"):
        assert PEERS[name].lacks(PROTOCOLS["tcp"]) is None
    for job in (PROTOCOLS["websocket"], PROTOCOLS["grpc"]):
        assert [peer.lacks(job) for peer in PEERS.values()] == [None] * len(PEERS)


def test_envoy_is_told_what_clients_and_backends_speak(tmp_path: Path) -> None:
    envoy = Envoy()
    (tcp,) = envoy.document(PROTOCOLS["tcp"], 18_080, tmp_path)["static_resources"]["listeners"]
    assert [each["name"] for each in tcp["filter_chains"][0]["filters"]] == ["tcp"]
    (cluster,) = envoy.document(PROTOCOLS["grpc"], 18_080, tmp_path)["static_resources"]["clusters"]
    (options,) = cluster["typed_extension_protocol_options"].values()
    assert options["explicit_http_config"] == {"http2_protocol_options": {}}
    sockets = envoy.document(PROTOCOLS["websocket"], 18_080, tmp_path)["static_resources"]
    http = sockets["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert http["upgrade_configs"] == [{"upgrade_type": "websocket"}]


def test_http3_is_on_the_udp_port_of_the_same_number(tmp_path: Path) -> None:
    job = PROTOCOLS["h3"]
    tcp, udp = Envoy().document(job, 18_080, tmp_path)["static_resources"]["listeners"]
    assert udp["address"]["socket_address"] == {
        **tcp["address"]["socket_address"],
        "protocol": "UDP",
    }
    (chain,) = udp["filter_chains"]
    assert chain["filters"][0]["typed_config"]["codec_type"] == "HTTP3"
    secured = chain["transport_socket"]["typed_config"]["downstream_tls_context"]
    assert secured["common_tls_context"]["alpn_protocols"] == ["h3"]
    argv = list(OTO_TRIO.configure(job, 18_080, tmp_path).argv)
    for option in ("--https-port", "--http3-port"):
        assert argv[argv.index(option) + 1] == "18080"


@pytest.mark.parametrize(("said", "lacks"), [("--http3-port PORT", False), ("--port", True)])
def test_a_version_without_http3_is_left_out(
    said: str, lacks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = tmp_path / "gateway"
    gateway.write_text(f"#!/bin/sh\necho '{said}'\n")
    gateway.chmod(0o755)
    monkeypatch.setenv("OTO_BENCH_CMD", f"{gateway} --port {{port}}")
    assert (OTO_TRIO.lacks(PROTOCOLS["h3"]) is not None) == lacks
    assert OTO_TRIO.lacks(PROTOCOLS["grpc"]) is None


def test_our_tcp_service_is_read_by_our_own_model(tmp_path: Path) -> None:
    command = OTO_TRIO.configure(PROTOCOLS["tcp"], 18_080, tmp_path)
    config = json.loads((tmp_path / "routes.json").read_text())
    (document,) = config["tcp-services"]
    service, problems = inspect_document(TcpService, document)
    assert not problems
    assert service is not None
    assert service.port == 18_080
    # The port is the service's, so the one for HTTP has to be another.
    argv = list(command.argv)
    assert argv[argv.index("--http-port") + 1] != "18080"


def test_our_grpc_backend_is_asked_over_http2() -> None:
    job = PROTOCOLS["grpc"]
    target = route_document(0, job.routes[0], job)["backend"]["targets"][0]
    assert target["protocol"] == "HTTP/2.0"


@pytest.mark.parametrize(
    ("files", "websocket", "count"),
    [(11_000, False, 10_000), (21_000, True, 10_000), (20_000, True, 9_500), (11_000, True, 5_000)],
)
def test_idle_connections_are_as_many_as_open_files_allow(
    files: int, websocket: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert (WebSocketIdle() if websocket else Idle()).count() == count


@pytest.mark.parametrize(("files", "websocket"), [(10_999, False), (10_999, True)])
def test_too_few_open_files_for_idle_connections_are_told(
    files: int, websocket: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    with pytest.raises(BenchError, match=r"raise it with ulimit -n"):
        (WebSocketIdle() if websocket else Idle()).count()


def test_envoy_searches_many_routes_as_a_tree() -> None:
    assert len(routing(["/a/"])["routes"]) == 1
    tree = routing(["/a/", "/b/"])["matcher"]["matcher_tree"]
    assert set(tree["prefix_match_map"]["map"]) == {"/a/", "/b/"}


def test_our_routes_are_read_by_our_own_model(tmp_path: Path) -> None:
    job = Job(
        9321, routes=(BenchRoute(HOST, "/"), BenchRoute(HOST, "/team1/service2/")), plugin="inline"
    )
    command = OTO_TRIO.configure(job, 18_080, tmp_path)
    config = json.loads((tmp_path / "routes.json").read_text())
    assert str(tmp_path / "routes.json") in command.argv
    assert "18080" in command.argv
    assert config["routes"] == [
        route_document(0, job.routes[0], job),
        route_document(1, job.routes[1], job),
    ]
    for document in config["routes"]:
        entity = read_route(document)
        assert entity.plugins[0].plugin == PLUGIN_ID


def test_the_control_plane_is_known_to_the_bench(tmp_path: Path) -> None:
    command = OTO_TRIO.configure(Job(9321, workers=2), 18_080, tmp_path)
    argv = list(command.argv)
    assert argv[argv.index("--admin-port") + 1] == str(command.admin_port)
    assert argv[argv.index("--workers") + 1] == "2"
    assert tuple(command.environment.values()) == ADMIN_KEY


def test_an_export_of_the_bench_is_taken_in_whole() -> None:
    job = Job(9321, routes=route_table(20, 10), guard=Guard(api_keys=30))
    source = read_export(export(job))
    assert not source.problems
    assert not source.left_out
    kinds = Counter(item.row.key for item in source.items)
    assert kinds == {"routes": 20, "apiKeys": 30}
    for item in source.items:
        cls = Route if item.row.key == "routes" else ApiKey
        document = json.loads(bytes(item.text))
        entity, problems = inspect_document(cls, document)
        assert entity is not None
        assert not problems
        assert write_document(entity) == document


def test_the_command_of_oto_trio_can_be_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTO_BENCH_CMD", "gateway --port {port} --file {config} --quiet")
    command = OTO_TRIO.configure(Job(9321), 18_080, tmp_path)
    assert command.argv == (
        "gateway",
        "--port",
        "18080",
        "--file",
        str(tmp_path / "routes.json"),
        "--quiet",
    )


@pytest.mark.parametrize("kind", ["inline", "async"])
def test_the_plugin_is_one_that_the_gateway_loads(kind: str, tmp_path: Path) -> None:
    (tmp_path / "mark_request.py").write_text(
        plugin_source("inline" if kind == "inline" else "async")
    )
    found = FolderPlugins(tmp_path).poll()
    assert [problem for file in found.files.values() for problem in file.problems] == []
    (plugin,) = [cls for cls, _ in found.plugins]
    assert plugin.id == PLUGIN_ID


def test_memory_is_split_between_control_plane_and_worker() -> None:
    assert OTO_TRIO.memory_parts(10, {10: 5, 11: 3, 12: 1}) == {"control_plane": 5, "worker": 4}
    assert PEERS["nginx"].memory_parts(10, {10: 5, 11: 3}) == {}
