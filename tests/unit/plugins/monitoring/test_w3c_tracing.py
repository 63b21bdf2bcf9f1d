"""W3CTracing."""

import logging

import msgspec
import pytest

from oto_trio.plugin_api import Phase, PluginError, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.monitoring.w3c_tracing import W3CTracing, W3CTracingConfig
from oto_trio.testing import FakeExchange, call_hook, play

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-00"


def sent(**headers: str) -> FakeExchange:
    return FakeExchange.of("GET", "http://api.localhost/users?token=secret", headers)


async def told(exchange: FakeExchange) -> dict[str, str]:
    await play(W3CTracing(W3CTracingConfig()), exchange)
    return dict(exchange.request.headers.items())


async def test_the_clients_trace_goes_on_under_another_span() -> None:
    headers = await told(sent(traceparent=PARENT, tracestate="a=1, b=2", baggage="k=v"))
    version, trace, span, flags = headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "00")
    assert span != "00f067aa0ba902b7"
    assert headers["tracestate"] == "a=1,b=2"
    assert headers["baggage"] == "k=v"


async def test_a_bad_parent_begins_another_trace_without_the_clients_state() -> None:
    headers = await told(sent(traceparent=PARENT.upper(), tracestate="a=1"))
    _, trace, _, flags = headers["traceparent"].split("-")
    assert trace != TRACE
    assert len(trace) == 32
    assert flags == "01"
    assert "tracestate" not in headers


async def test_the_logger_writes_a_span_without_the_query(caplog: pytest.LogCaptureFixture) -> None:
    plugin = W3CTracing(W3CTracingConfig(kind="logger"))
    exchange = sent(traceparent=PARENT)
    with caplog.at_level(logging.INFO):
        await play(plugin, exchange)
        await call_hook(plugin, Phase.DONE, exchange)
    assert TRACE in caplog.text
    assert "http.path=/users" in caplog.text
    assert "secret" not in caplog.text


def test_kinds_that_would_send_spans_are_refused() -> None:
    with pytest.raises(PluginError, match="kind"):
        read_config(W3CTracingConfig, {"kind": "zipkin"})


def test_it_is_native_and_the_logger_has_its_hook_besides() -> None:
    (step,) = W3CTracing(W3CTracingConfig()).lower()
    assert isinstance(step, steps.Native)
    assert step.kind == "w3c_tracing"
    assert msgspec.to_builtins(step.settings) == {"baggage": {}}
    assert len(W3CTracing(W3CTracingConfig(kind="logger")).lower()) == 2
