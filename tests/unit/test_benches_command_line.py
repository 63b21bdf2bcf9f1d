"""Arguments of `python -m benches`: what is wrong is named, with what would be right."""

import os
import signal
from pathlib import Path

import pytest

from benches import command_line
from benches.errors import BenchError
from benches.peers import PEERS
from benches.scenarios import SCENARIOS


def test_the_scenarios_are_the_ones_that_were_asked_for() -> None:
    assert set(SCENARIOS) == {
        *("plain", "routes10", "routes10k", "routes100k", "python-inline", "python-async"),
        *("large", "stream", "connect", "idle", "latency", "start"),
        *("tls", "chain", "chain-rs256", "chain-es256", "handshake", "resume", "denied"),
        *("keys100k", "latency-chain", "control-10k", "import", "memory-100k"),
        *("h2", "h2-large", "grpc", "websocket", "websocket-idle", "tcp", "tcp-many"),
        *("h3", "h3-large"),
    }


def test_an_unknown_scenario_is_an_error_that_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--scenarios", "plain", "plane"]) == 2
    said = capsys.readouterr().err
    assert "no scenario 'plane'" in said
    assert all(name in said for name in SCENARIOS)


def test_an_unknown_peer_is_an_error_that_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--scenarios", "plain", "--peers", "squid"]) == 2
    said = capsys.readouterr().err
    assert "no peer 'squid'" in said
    assert all(name in said for name in PEERS)


def test_a_peer_that_is_not_installed_is_an_error_that_says_how(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command_line.main(["--peers-only", "--peers", "caddy"]) == 2
    assert "caddy is not installed: apt-get install caddy" in capsys.readouterr().err


def test_without_names_only_installed_peers_take_part(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    haproxy = tmp_path / "haproxy"
    haproxy.write_text("#!/bin/sh\n")
    haproxy.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    names = {proxy.name for proxy in command_line.chosen_proxies(None, peers_only=True)}
    assert names - {"envoy"} == {"haproxy"}  # envoy may be there as a wheel
    assert "without nginx, which is not installed" in capsys.readouterr().out


def test_oto_trio_comes_first_and_a_peer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTO_BENCH_CMD", "python3 stand-in {port}")
    for peer in PEERS.values():
        monkeypatch.setattr(type(peer), "executable", lambda self: self.name)
    chosen = command_line.chosen_proxies(["nginx", "envoy", "nginx"], peers_only=False)
    assert [proxy.name for proxy in chosen] == ["oto-trio", "nginx", "envoy"]


@pytest.mark.parametrize(
    "argv",
    [
        ["--rounds", "0"],
        ["--rounds", "many"],
        ["--duration", "-1"],
        ["--duration", "1.5"],
        ["--domains", "0"],
        ["--no-such-option"],
    ],
)
def test_a_number_out_of_range_is_refused(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        command_line.main(argv)
    assert leaving.value.code == 2
    assert argv[0] in capsys.readouterr().err


def test_the_list_has_every_scenario_and_peer(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in (*SCENARIOS, *PEERS))


def test_what_oto_trio_alone_has_is_left_out_without_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for tool in ("oto_load", "wrk"):
        monkeypatch.setattr(command_line, tool, lambda: "unused")
    monkeypatch.setattr(type(PEERS["nginx"]), "executable", lambda self: self.name)
    argv = ["--scenarios", "import", "--peers-only", "--peers", "nginx", "--results", str(tmp_path)]
    assert command_line.main(argv) == 0
    assert "import: left out, for it measures oto-trio alone" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_bars_without_results_are_not_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command_line.main(["--bars", "--results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 36
    assert all(line.startswith("not measured") for line in lines)


def test_one_core_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    with pytest.raises(BenchError, match="two cores"):
        command_line.two_cores()


def test_sigterm_interrupts_once_and_is_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def interrupted_twice() -> None:
        with command_line.interruptible():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)  # while cleaning up: nothing happens

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert signal.getsignal(signal.SIGTERM) == before
