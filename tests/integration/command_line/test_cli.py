"""The command line, as people and scripts use it: arguments in, output and exit code out."""

import json
import re
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oto_trio.cli import COMMANDS
from oto_trio.control.checking import check_engine_settings
from oto_trio.control.settings import NEEDS_NEW_WORKERS, NEEDS_RESTART, Settings
from oto_trio.testing.gateway_process import GatewayEndedError, gateway_process
from tests.integration.command_line.program import invoked, oto

HEADERS = "cp:otoroshi.next.plugins.AdditionalHeadersIn"
CONFIG = f"""
settings:
  http_port: 0
routes:
  - id: users
    name: users
    frontend: {{domains: [api.localhost/users], methods: [GET]}}
    backend: http://127.0.0.1:9000/v2
    plugins:
      - cp:otoroshi.next.plugins.OverrideHost
      - {{plugin: {HEADERS}, config: {{headers: {{X-A: b}}}}}}
  - id: writers
    name: writers
    frontend: {{domains: [api.localhost/users], methods: [POST]}}
    backend_ref: stored
backends:
  - {{id: stored, name: stored, backend: 'https://192.0.2.9'}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return path


# ----------------------------------------------------------------------------- help, version


def test_the_help_lists_every_command() -> None:
    result = oto("--help")
    assert result.returncode == 0
    assert oto("-h").stdout == result.stdout
    for name, summary in COMMANDS.items():
        assert f"{name} " in result.stdout
        assert summary in result.stdout
    assert "Exit codes" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str) -> None:
    result = oto(command, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"Usage: oto-trio {command}")
    if command != "version":
        assert f"  oto-trio {command} " in result.stdout


def test_the_help_of_serve_says_what_each_option_defaults_to() -> None:
    text = " ".join(oto("serve", "--help").stdout.split())
    for words in ("default: 8080", "default: 8081", "default: no HTTPS"):
        assert words in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["serve", "--no-such-option"],
        ["serve", "--http-port", "http"],
        ["serve", "--http-port", "70000"],
        ["serve", "--workers", "-1"],
        ["serve", "--log-format", "xml"],
        ["check"],
        ["explain", "GET"],
        ["explain", "GET", "not-a-url"],
        ["explain", "GET", "http://a", "-H", "nonsense", "--config", "c.yaml"],
        ["explain", "GET", "http://a", "--config", "a", "--data", "b"],
        ["plugins", "show"],
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str]) -> None:
    result = oto(*arguments)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert "Error: " in result.stderr or "Usage: " in result.stderr


def test_version_names_what_is_installed() -> None:
    result = oto("version")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "oto-trio",
        "engine",
        "python",
        "trio",
    ]
    versions = json.loads(oto("version", "--json").stdout)
    assert versions["oto-trio"] == versions["engine"]


def test_the_shell_can_complete_commands() -> None:
    result = oto(_OTO_TRIO_COMPLETE="bash_complete", COMP_WORDS="oto-trio exp", COMP_CWORD="1")
    assert result.stdout.split() == ["plain,explain", "plain,export"]


# ----------------------------------------------------------------------------- plugins


def test_plugins_are_listed() -> None:
    result = oto("plugins", "list")
    assert result.returncode == 0
    ids = [line.split()[0] for line in result.stdout.splitlines()]
    assert HEADERS in ids
    assert ids == sorted(ids)
    described = json.loads(oto("plugins", "list", "--json").stdout)
    assert [plugin["id"] for plugin in described] == ids


def test_one_plugin_is_shown_by_its_id_or_the_end_of_it() -> None:
    whole = oto("plugins", "show", HEADERS)
    assert whole.returncode == 0
    assert HEADERS in whole.stdout
    assert oto("plugins", "show", "additionalheadersin").stdout == whole.stdout
    described = json.loads(oto("plugins", "show", HEADERS, "--json").stdout)
    assert described["id"] == HEADERS
    assert described["origin"] == "builtin"


def test_a_plugin_that_is_not_there_is_a_failure() -> None:
    result = oto("plugins", "show", "Nonsense")
    assert result.returncode == 1
    assert "Nonsense is not the id of a plugin" in result.stderr


def test_a_plugin_file_that_cannot_be_loaded_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def broken(:\n")
    result = oto("plugins", "list", "--plugins", str(tmp_path))
    assert result.returncode == 1
    assert "broken.py:1" in result.stderr
    assert HEADERS in result.stdout


# ----------------------------------------------------------------------------- check


def test_a_good_file_is_ok(config: Path) -> None:
    result = oto("check", str(config))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{config}: ok (1 backends, 2 routes)\n"


def test_every_problem_has_file_path_and_fix(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        """
settings: {http_prot: 80, engine: {head_bites: 1}}
routes:
  - {name: a, frontend: a.test, backend: 'nowhere://x'}
  - {name: b, frontend: b.test, backend_ref: lost, plugins: ['cp:no.such.Plugin']}
  - {name: c, frontend: 'c.test/$x<(>', fronted: 1}
"""
    )
    missing = tmp_path / "missing.yaml"
    result = oto("check", str(bad), str(missing))
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    found = {tuple(line.split(": ")[:3]) for line in lines}
    assert found == {
        (str(bad), "$.settings.http_prot", "error"),
        (str(bad), "$.settings.engine", "error"),
        (str(bad), "$.routes[0].backend.url", "error"),
        (str(bad), "$.routes[1].plugins[0].plugin", "error"),
        (str(bad), "$.routes[1].backend_ref", "warning"),
        (str(bad), "$.routes[2].frontend.domains[0]", "error"),
        (str(bad), "$.routes[2].fronted", "warning"),
        (str(missing), "$", "error"),
    }
    assert all("; " in line for line in lines)
    objects = [json.loads(line) for line in oto("check", "--json", str(bad)).stdout.splitlines()]
    assert len(objects) == len(lines) - 1
    assert all(set(o) == {"file", "path", "severity", "message", "fix"} for o in objects)


def test_a_key_of_a_plugin_config_that_nothing_reads_is_a_warning(tmp_path: Path) -> None:
    slot = '{plugin: "cp:otoroshi.next.plugins.Http3Switch", config: {ma: 5, max_age: 5}}'
    path = tmp_path / "c.yaml"
    path.write_text(f"routes: [{{name: a, frontend: a.test, plugins: [{slot}]}}]")
    result = oto("check", str(path))
    assert result.returncode == 0
    assert result.stdout == (
        f"{path}: $.routes[0].plugins[0].config.max_age: warning: nothing reads this key; "
        "remove it, or write one of ma, domain, protocols\n"
    )


def test_warnings_fail_only_when_strict(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("routes: [{name: a, frontend: a.test, fronted: 1}]")
    assert oto("check", str(path)).returncode == 0
    assert oto("check", "--strict", str(path)).returncode == 1


# ----------------------------------------------------------------------------- config


def test_settings_are_shown_with_where_they_come_from(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("settings: {http_port: 1, workers: 2, metrics_access_key: planted}")
    arguments = ("config", "show", "--config", str(path), "--admin-port", "3", "--dev")
    environ = {"PORT": "4", "HEALTH_ACCESS_KEY": "planted", "OTO_TRIO_WROKERS": "5"}
    result = oto(*arguments, "--drain-timeout", "7", **environ)
    assert result.returncode == 0, result.stderr
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in result.stdout.splitlines()}
    assert rows["http_port"] == ["4", f"$PORT (over {path}: settings.http_port)"]
    assert rows["workers"] == ["2", f"{path}: settings.workers"]
    assert rows["admin_port"] == ["3", "--admin-port"]
    assert rows["drain_timeout_s"] == ["7.0", "--drain-timeout"]
    assert rows["bind"] == ['"127.0.0.1"', "--dev"]
    assert rows["https_port"] == ["null", "default"]
    assert rows["health_access_key"] == ['"***"', "$HEALTH_ACCESS_KEY"]
    assert "write OTO_TRIO_WORKERS" in result.stderr
    told = json.loads(oto(*arguments, "--format", "json", **environ).stdout)
    settings = {setting["name"]: setting for setting in told["settings"]}
    assert list(settings) == [field.name for field in msgspec.structs.fields(Settings)]
    file = {"kind": "file", "name": str(path), "key": "settings.http_port"}
    assert settings["http_port"] == {
        "name": "http_port",
        "value": 4,
        "source": {"kind": "environment", "name": "PORT"},
        "overrules": [file],
    }
    assert [problem["severity"] for problem in told["problems"]] == ["warning"]
    assert "planted" not in result.stdout + result.stderr + json.dumps(told)


def test_settings_that_serve_refuses_are_shown_with_the_reasons(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("settings: {http_prot: 1, workers: 3}")
    result = oto("config", "show", "--config", str(path), OTO_TRIO_WORKERS="planted")
    assert result.returncode == 1
    assert f"error: {path}: $.settings.http_prot" in result.stderr
    assert "error: $OTO_TRIO_WORKERS: expected a whole number" in result.stderr
    assert f"{path}: settings.workers" in result.stdout
    assert "planted" not in result.stdout + result.stderr


# ----------------------------------------------------------------------------- explain


def test_what_services_and_compositions_mean_is_explained_with_them(tmp_path: Path) -> None:
    file = tmp_path / "oto.yaml"
    file.write_text("""
routes:
  - {id: comp-0, name: mine, frontend: comp.localhost/mine, backend: 'http://127.0.0.1:9000'}
route-compositions:
  - id: comp
    name: comp
    routes:
      - frontend: {domains: [comp.localhost]}
        backend: {targets: [{hostname: 127.0.0.1, port: 9001}]}
service-descriptors:
  - {id: s, name: s, subdomain: s, env: prod, domain: localhost, clientValidatorRef: v,
     targets: [{host: '127.0.0.1:9002', scheme: http}]}
""")
    result = oto("explain", "GET", "http://comp.localhost/", "--config", str(file))
    assert result.returncode == 0, result.stderr
    assert "route  comp-0~  (comp" in result.stdout
    assert "  it is what route-compositions comp means" in result.stdout
    assert "comp-0~  of route-compositions comp  comp.localhost  takes it" in result.stdout
    mine = oto("explain", "GET", "http://comp.localhost/mine", "--config", str(file))
    assert "route  comp-0  (mine)" in mine.stdout
    assert "it is what" not in mine.stdout
    told = oto("explain", "GET", "http://s.localhost/", "--json", "--config", str(file))
    assert json.loads(told.stdout)["route"]["of"] == "service-descriptors s"
    assert "route s: $.clientValidatorRef: " in told.stderr


def test_a_request_is_explained_from_a_file(config: Path) -> None:
    result = oto("explain", "GET", "http://api.localhost/users/1?x=2", "--config", str(config))
    assert result.returncode == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "GET api.localhost/users/1?x=2" in text
    assert "writers api.localhost/users no: the method is not among those of the route" in text
    assert "route users (users)" in text
    assert "override_host native cp:otoroshi.next.plugins.OverrideHost" in text
    assert "http://127.0.0.1:9000" in text
    assert "GET /v2/1?x=2 Host: 127.0.0.1" in text


def test_a_listener_and_what_it_serves_are_told_to_explain(tmp_path: Path) -> None:
    routes = [
        {"id": name, "name": name, "frontend": f"{name}.test", "backend": "http://127.0.0.1:9"}
        for name in ("all", "mine")
    ]
    routes[1]["bound_listeners"] = ["l"]  # type: ignore[assignment]
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"routes": routes}))

    def winners(*options: str) -> list[str | None]:
        found: list[str | None] = []
        for name in ("all", "mine"):
            arguments = ["explain", "GET", f"http://{name}.test/", "--json", *options]
            result = invoked(*arguments, "--config", str(path))
            winner = json.loads(result.stdout)["routing"]["winner"]
            found.append(None if winner is None else winner["id"])
        return found

    assert winners() == ["all", None]
    assert winners("--listener", "l") == ["all", "mine"]
    assert winners("--listener", "l", "--exclusive") == [None, "mine"]


def test_a_stored_backend_is_followed(config: Path) -> None:
    result = oto(
        "explain", "POST", "https://api.localhost/users", "--json", "--config", str(config)
    )
    answer = json.loads(result.stdout)
    assert answer["routing"]["winner"]["id"] == "writers"
    assert answer["target"]["address"] == "192.0.2.9:443"
    assert answer["request"]["secured"] is True


def test_what_services_and_compositions_mean_is_explained_too(tmp_path: Path) -> None:
    service = {
        "domain": "a.test",
        "targets": [{"host": "192.0.2.7:81", "scheme": "http"}],
        "publicPatterns": ["/.*"],
    }
    private = {"id": "private", "subdomain": "private", "clientValidatorRef": "somebody"}
    composed = {
        "id": "route-1",
        "frontend": {"domains": ["composed.test"]},
        "backend": {"targets": [{"hostname": "192.0.2.8", "port": 82}]},
    }
    declared = {
        "routes": [{"id": "old", "frontend": "b.test", "backend": "http://192.0.2.1"}],
        "service-descriptors": [
            {**service, "id": "old", "subdomain": "old"},
            {**service, **private},
        ],
        "route-compositions": [{"id": "c", "name": "c", "routes": [composed]}],
    }
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(declared))

    def explained(host: str) -> tuple[dict[str, Any], str]:
        arguments = ["explain", "GET", f"http://{host}/", "--json", "--config", str(path)]
        result = invoked(*arguments)
        return json.loads(result.stdout), result.stderr

    # The id of the service is a route's already: that one keeps it, here as in a worker.
    answer, _ = explained("old.a.test")
    assert answer["routing"]["winner"]["id"] == "old~"
    assert answer["target"]["address"] == "192.0.2.7:81"
    answer, _ = explained("composed.test")
    assert answer["routing"]["winner"]["id"] == "c-0"
    assert answer["target"]["address"] == "192.0.2.8:82"
    answer, told = explained("private.a.test")
    assert answer["routing"]["winner"]["id"] == "private"
    assert answer["plan"][0]["detail"]["status"] == 503
    assert "route private: $.clientValidatorRef: " in told


def test_no_route_is_told_and_ends_with_1(config: Path) -> None:
    result = oto("explain", "GET", "http://other.localhost/", "--config", str(config))
    assert result.returncode == 1
    assert "no route is declared on a domain that matches other.localhost" in result.stdout
    result = oto("explain", "PUT", "http://api.localhost/users", "--config", str(config))
    assert result.returncode == 1
    assert "no route takes it" in result.stdout


def test_a_header_can_decide(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "routes: [{name: gold, frontend: {domains: [a.test], headers: {X-Tier: gold}},"
        " backend: 'http://192.0.2.1'}]"
    )
    arguments = ("explain", "GET", "http://a.test/", "--config", str(path))
    assert oto(*arguments).returncode == 1
    assert oto(*arguments, "-H", "x-tier: gold").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "none.yaml"], "cannot be read"),
        (["--data", "none"], "there is no store at"),
        (["--admin", "http://127.0.0.1:1"], "is the gateway running?"),
    ],
)
def test_routes_that_cannot_be_had_are_a_failure(arguments: list[str], words: str) -> None:
    result = oto("explain", "GET", "http://a.test/", *arguments)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
async def test_a_request_is_explained_by_a_running_gateway_and_from_its_store_at_rest(
    config: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    request = ("explain", "GET", "http://api.localhost/users/1", "--json")
    arguments = ("--workers", "0", "--config", str(config))
    async with gateway_process(*arguments, data=data) as gateway:
        client_id, secret = gateway.auth
        key = ("--client-id", client_id, "--client-secret", secret)
        asked = oto(*request, "--admin", gateway.admin, *key)
        assert json.loads(asked.stdout)["routing"]["winner"]["id"] == "users"
        refused = oto(*request, "--admin", gateway.admin)
        assert refused.returncode == 1
        assert "refuses the key" in refused.stderr
        locked = oto(*request, "--data", str(data))
        assert locked.returncode == 1
        assert "--admin" in locked.stderr
    at_rest = oto(*request, "--data", str(data))
    assert json.loads(at_rest.stdout) == json.loads(asked.stdout)


# ----------------------------------------------------------------------------- serve


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "none.yaml"], "none.yaml: $: cannot be read"),
        (["--bind", "nowhere"], "is no address to listen on"),
        (["--dev", "--bind", "0.0.0.0"], "must not be reachable on 0.0.0.0"),
        (["--admin-bind", "192.0.2.1"], "the admin API cannot listen on 192.0.2.1"),
        (["--admin-bind", "192.0.2.1"], "Error: the admin API"),
        (["--access-log", "/no/such/a.log"], "access_log: /no/such/a.log cannot be opened: No"),
        (["--plugins", "none"], "--plugins: none is no folder"),
        (["--http-port", "1234", "--admin-port", "1234"], "--admin-port: port 1234 is that of"),
    ],
)
def test_serve_says_in_one_line_why_it_cannot_start(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    defaults = ("--http-port", "0", "--admin-port", "0", "--workers", "0")
    result = oto("serve", "--data", str(tmp_path / "data"), *defaults, *arguments)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--route", "nonsense"], "it is not FRONTEND=URL"),
        (["serve", "--route", "a=ftp://b"], "http or https URL"),
        (["serve", "--http-port", "abc"], "'abc' is not a valid integer."),
        (["certs", "issue"], "give HOSTS or --subject"),
        (["sreve"], "Did you mean 'serve'?"),
    ],
)
def test_a_wrong_command_line_says_what_to_write(arguments: list[str], words: str) -> None:
    result = oto(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_the_version_is_an_option_too() -> None:
    result = oto("--version")
    assert (result.returncode, result.stdout) == (0, f"oto-trio {version('oto-trio')}\n")


def test_serve_names_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ("serve", "--data", str(tmp_path), "--bind", "127.0.0.1", "--workers", "0")
        result = oto(*arguments, "--http-port", port, "--admin-port", "0")
        assert result.returncode == 1
        assert f"cannot listen on 127.0.0.1 port {port}: another process" in result.stderr
        result = oto(*arguments, "--http-port", "0", "--admin-port", port)
        assert result.returncode == 1
        assert f"the admin API cannot listen on 127.0.0.1:{port}" in result.stderr


@pytest.mark.slow
async def test_dev_uses_the_well_known_key_on_loopback(tmp_path: Path) -> None:
    async with gateway_process("--dev", "--workers", "0", data=tmp_path) as gateway:
        assert gateway.auth == ("admin-api-apikey-id", "admin-api-apikey-secret")
        assert gateway.announcement["http"].startswith("http://127.0.0.1:")
        assert gateway.announcement["admin"].startswith("http://127.0.0.1:")
        assert gateway.announcement["credentials_file"] is None


@pytest.mark.slow
async def test_a_store_that_another_gateway_has_is_told(tmp_path: Path) -> None:
    async with gateway_process("--workers", "0", data=tmp_path):
        with pytest.RaisesGroup(GatewayEndedError) as raised:
            async with gateway_process("--workers", "0", data=tmp_path):
                raise AssertionError
        (error,) = raised.value.exceptions
        assert isinstance(error, GatewayEndedError)
        assert error.status == 1
        assert str(tmp_path) in error.output
        assert "Traceback" not in error.output


@pytest.mark.slow
async def test_settings_come_from_the_environment_too(tmp_path: Path) -> None:
    environ = {
        "OTO_TRIO_WORKERS": "0",
        "OTO_TRIO_ADMIN_API_CLIENT_ID": "me",
        "OTO_TRIO_ADMIN_API_CLIENT_SECRET": "hidden",
        "OTO_TRIO_HTPP_PORT": "1",
    }
    async with gateway_process(data=tmp_path, environ=environ) as gateway:
        assert gateway.workers() == []
        assert gateway.announcement["client_id"] == "me"
        assert gateway.announcement["client_secret"] is None
        line = await gateway.wait_for_log("$OTO_TRIO_HTPP_PORT")
        assert "write OTO_TRIO_HTTP_PORT" in line["message"]
        assert "hidden" not in json.dumps(gateway.log)


@pytest.mark.slow
def test_the_text_form_tells_where_to_go(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "oto_trio", "serve", "--data", str(tmp_path)]
    ports = ("--http-port", "0", "--admin-port", "0", "--workers", "1", "--bind", "127.0.0.1")
    with subprocess.Popen(
        [*command, *ports], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(7)]
        process.terminate()
        _, log = process.communicate(timeout=120)
    shown: dict[str, Any] = {line[:11].strip(): line[11:] for line in lines[1:]}
    assert lines[0] == "oto-trio is ready"
    assert shown["gateway"].startswith("http://127.0.0.1:")
    assert shown["admin API"].startswith("http://127.0.0.1:")
    assert "shown this once" in shown["secret"]
    assert process.returncode == 0
    assert "INFO    supervisor: SIGTERM: draining" in log
    assert "drained in" in log


# ----------------------------------------------------------------------------- docs


def test_the_docs_name_every_option_setting_and_default() -> None:
    docs = Path(__file__).parents[3] / "docs"
    text = (docs / "cli.md").read_text()
    for command in COMMANDS:
        shown = (
            oto(command, "--help").stdout
            if command != "plugins"
            else oto("plugins", "list", "--help").stdout
        )
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", shown)) - {"--help", "--header"}
        section = text.partition(f"## {command}\n")[2].partition("\n## ")[0]
        assert {option for option in options if option not in section} == set()
    for field in msgspec.structs.fields(Settings):
        named = {field.name, f"--{field.name.replace('_', '-')}", "--drain-timeout"}
        assert any(name in text for name in named), field.name


def test_the_docs_name_every_setting_of_the_engine_with_its_default() -> None:
    operations = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    section = operations.partition("## Settings of the engine")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"\| `(\w+)` \| ([\d.]+) \|", section))
    documented = {name: json.loads(value) for name, value in rows.items()}
    assert check_engine_settings(json.dumps(documented).encode()) is None
    # The engine tells the names it knows when it is asked for one that it does not.
    known = set(re.findall(r"`(\w+)`", check_engine_settings(b'{"unknown": 1}') or ""))
    # unix_targets is a setting of its own, which the engine is told.
    assert known - {"unknown", "unix_targets"} == set(documented)


def test_the_docs_sort_every_setting_as_a_reload_does() -> None:
    operations = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    table = operations.partition("| settings | a reload |")[2].partition("\n\n")[0]
    at_once, new_workers, restart = (
        set(re.findall(r"`(\w+)`", line)) for line in table.splitlines()[2:5]
    )
    assert new_workers == NEEDS_NEW_WORKERS
    assert restart == NEEDS_RESTART
    names = {field.name for field in msgspec.structs.fields(Settings)}
    assert at_once == names - NEEDS_NEW_WORKERS - NEEDS_RESTART
