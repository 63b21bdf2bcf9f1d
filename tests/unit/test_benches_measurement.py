"""The arithmetic of the benches, and what they make of it."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benches import bars, report, results
from benches.contestant import Window
from benches.errors import BenchError
from benches.measurement import Sample, medians, ratios
from benches.plot import bars as plot
from benches.scenarios.control import percentile
from benches.scenarios.scenario import moved


def sample(**changes: Any) -> Sample:
    values: dict[str, Any] = {
        "requests": 1_000,
        "seconds": 2.0,
        "cpu_ns": 20_000_000,
        "cpu_source": "schedstat",
        "p50_ms": 0.5,
        "p99_ms": 2.5,
        "resident_bytes": 30_000_000,
    }
    return Sample(**{**values, **changes})


def document(**ratio: float) -> dict[str, Any]:
    numbers = {"req_s": 50_000.4, "cpu_us": 17.0, "p50_ms": 1.0, "p99_ms": None, "rss_mb": 60.0}
    peers = {name: {**numbers, "cpu_us": 17.0 / value} for name, value in ratio.items()}
    return {
        "scenario": "plain",
        "proxies": {"oto-trio": {**numbers, "load_core_share": 0.9}, **peers},
        "ratio": ratio,
        "cpu_us_per": "request",
    }


def test_cpu_is_divided_by_the_requests_of_the_window() -> None:
    assert sample(extras={"growth_mb": 1.5}).numbers() == {
        "req_s": 500.0,
        "cpu_us": 20.0,
        "p50_ms": 0.5,
        "p99_ms": 2.5,
        "rss_mb": 30.0,
        "growth_mb": 1.5,
    }


def test_octets_are_counted_both_ways_and_latencies_on_the_way_down() -> None:
    proxy = SimpleNamespace(memory_parts=lambda _leader, _resident: {"worker": 2_000_000})
    contestant: Any = SimpleNamespace(resident=lambda: {1: 5, 2: 7}, proxy=proxy, leader=1)
    up = {"requests": 1, "seconds": 2.0}, Window(2.0, 30_000, "stat", 0.5, 0.1, 0.3)
    down = (
        {"requests": 1, "seconds": 3.0, "p50_ms": 0.5, "p99_ms": 2.5},
        Window(3.0, 60_000, "schedstat", 0.9, 0.2, 0.4),
    )
    assert moved(contestant, 6.0, up, down) == sample(
        requests=12,
        seconds=5.0,
        cpu_ns=90_000,
        resident_bytes=12,
        extras={
            "up_cpu_us": 5.0,
            "down_cpu_us": 10.0,
            "up_mb_s": 3.0,
            "down_mb_s": 2.0,
            "proxy_share": 0.9,
            "load_core_share": 0.4,
            "foreign_share": 0.2,
            "rss_worker_mb": 2.0,
        },
    )


@pytest.mark.parametrize("changes", [{"requests": 0}, {"seconds": 0.0}])
def test_nothing_done_is_no_measurement(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nothing to divide by"):
        sample(**changes).numbers()


def test_medians_are_of_each_number_where_it_is() -> None:
    runs: list[dict[str, float | None]] = [
        {"cpu_us": 30.0, "p50_ms": None},
        {"cpu_us": 10.0, "p50_ms": None, "growth_mb": 2.0},
        {"cpu_us": 20.0, "p50_ms": None, "growth_mb": 4.0},
    ]
    assert medians(runs) == {"cpu_us": 20.0, "p50_ms": None, "growth_mb": 3.0}
    with pytest.raises(ValueError, match="no sample"):
        medians([])


def test_a_ratio_is_ours_over_the_peers() -> None:
    proxies = {"oto-trio": {"cpu_us": 20.0}, "nginx": {"cpu_us": 25.0}, "envoy": {"cpu_us": 80.0}}
    assert ratios(proxies, "oto-trio") == {"nginx": 0.8, "envoy": 0.25}


def test_there_is_no_ratio_to_or_from_what_was_not_measured() -> None:
    assert ratios({"oto-trio": {"cpu_us": 20.0}, "nginx": {"cpu_us": None}}, "oto-trio") == {}
    assert ratios({"nginx": {"cpu_us": 20.0}}, "oto-trio") == {}


def test_results_are_a_json_and_a_plot(tmp_path: Path) -> None:
    results.write(document(nginx=0.85), tmp_path)
    found = json.loads((tmp_path / "plain.json").read_text())
    assert found["scenario"] == "plain"
    assert set(found["proxies"]["nginx"]) == {"req_s", "cpu_us", "p50_ms", "p99_ms", "rss_mb"}
    assert found["proxies"]["nginx"]["cpu_us"] == 20.0
    assert found["ratio"] == {"nginx": 0.85}
    assert results.read(tmp_path) == [found]
    ET.fromstring((tmp_path / "plain.svg").read_text())


def test_a_file_that_is_no_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text('{"scenario": "odd"}')
    with pytest.raises(ValueError, match=r"odd\.json is no result"):
        results.read(tmp_path)


def test_bars_are_as_long_as_their_values() -> None:
    tree = ET.fromstring(plot("CPU <us>", {"oto-trio": 10.0, "nginx": 20.0, "zero": 0.0}))
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(bar.attrib["width"]) for bar in tree.findall(f"{space}rect")[1:]]
    assert widths[1] == 2 * widths[0]
    assert widths[2] == 1
    texts = [text.text for text in tree.findall(f"{space}text")]
    assert texts[0] == "CPU <us>"
    assert {"oto-trio", "10.0", "nginx", "20.0"} <= set(texts)


def test_the_terminal_table_lines_up_and_leaves_asides_out() -> None:
    lines = results.table(document(nginx=0.85)).splitlines()
    assert lines[0].split()[:4] == ["proxy", "req/s", "CPU", "µs/request"]
    assert lines[1].split() == ["oto-trio", "50,000", "17.0", "1.000", "–", "60.0", "–"]
    assert lines[2].split() == ["nginx", "50,000", "20.0", "1.000", "–", "60.0", "0.85"]
    assert lines[1].index("17.0") == lines[2].index("20.0")


def test_a_bar_is_reached_at_its_limit_and_missed_above() -> None:
    of = {v.bar.text: v for v in bars.verdicts([document(nginx=1.0, envoy=0.31)])}
    assert of["CPU to nginx's"].bar.scenario in {"plain", "large", "stream", "tls", "handshake"}
    plain = [v for v in bars.verdicts([document(nginx=1.0, envoy=0.31)]) if v.measured]
    assert [(v.bar.peer, v.reached) for v in plain] == [("nginx", True), ("envoy", False)]
    assert "MISSED" in plain[1].line()
    rest = [v for v in bars.verdicts([document(nginx=1.0)]) if v.bar.scenario != "plain"]
    assert rest
    assert all(v.reached is None for v in rest)


def test_a_bar_may_be_on_what_comes_on_top_of_another_proxy() -> None:
    bar = bars.Bar("plain", "MB for 10 routes", 1.0, number="rss_worker_mb", beyond="few", per=10)
    few, many = {"rss_worker_mb": 40.0}, {"rss_worker_mb": 65.0}
    assert bar.measured({"proxies": {"oto-trio": many, "few": few}}) == 2.5
    assert bar.measured({"proxies": {"oto-trio": many}}) is None
    assert bar.measured({"proxies": {"few": few}}) is None


@pytest.mark.parametrize(("part", "found"), [(50, 50.0), (99, 99.0), (100, 100.0), (1, 1.0)])
def test_a_percentile_is_a_value_that_was_measured(part: int, found: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], part) == found
    assert percentile([7.0], part) == 7.0
    with pytest.raises(ValueError, match="no value"):
        percentile([], part)


def test_the_report_goes_between_the_marks_and_nowhere_else(tmp_path: Path) -> None:
    results.write(document(nginx=0.85), tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for _ in range(2):
        assert report.rewrite(page, tmp_path) == 1
    text = page.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert "| nginx | 50,000 | 20.0 | 1.000 | – | 60.0 | 0.85 |" in text
    assert "| plain | CPU to nginx's ≤ 1 | 0.850 | yes |" in text


def test_the_report_says_under_which_conditions() -> None:
    facts = {"rounds": 5, "cpu": "X1", "cores": 2, "kernel": "6.1", "python": "3.11.7"}
    said = "Medians of 5 rounds; X1, 2 cores, Linux 6.1, Python 3.11.7"
    assert report.conditions({**facts, "niceness": 0}) == f"{said}."
    assert report.conditions({**facts, "niceness": -20}) == f"{said}, niceness -20."
    assert report.conditions({}) == ""


def test_a_report_needs_results_and_a_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks")
    with pytest.raises(BenchError, match="no results"):
        report.rewrite(page, tmp_path)
    results.write(document(nginx=0.85), tmp_path)
    with pytest.raises(BenchError, match="no place"):
        report.rewrite(page, tmp_path)
    assert page.read_text() == "no marks"


def test_the_documentation_has_the_place() -> None:
    text = report.PAGE.read_text()
    assert text.count(report.BEGIN) == 1
    assert text.count(report.END) == 1
