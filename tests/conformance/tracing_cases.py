"""What the plugin of W3C trace context is tried with."""

from typing import Any

from hypothesis import strategies as st

__all__ = ["ARRIVALS", "CONFIGS", "without_random_ids"]

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PARENTS = st.sampled_from(
    [
        GOOD,
        GOOD[:-1] + "0",
        GOOD[:-2] + "ff",
        GOOD.replace("00-", "cc-", 1),
        GOOD.replace("00-", "cc-", 1) + "-later",
        GOOD.replace("00-", "cc-", 1) + "later",
        GOOD + "-x",
        GOOD.replace("00-", "ff-", 1),
        GOOD.upper(),
        GOOD[:-1],
        GOOD.replace("00f067aa0ba902b7", "0" * 16),
        GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        "",
    ]
) | st.text(st.sampled_from("0af-"), max_size=56)
STATES = st.sampled_from(["a=1", "a=1, b@c=2", ",", "A=1", "a=", "a=b=c", "0a=x y", "a=1,,b=2", ""])
BAGGAGES = st.sampled_from(
    ["a=1", "a=1;p=2,b = 3", "a", "=1", "a=1,", "a b=1", "a=" + "x" * 8190, "a=\u00e9", ""]
)
FIELDS = st.one_of(
    st.tuples(st.sampled_from(["traceparent", "TraceParent"]), PARENTS),
    st.tuples(st.sampled_from(["tracestate", "Tracestate"]), STATES),
    st.tuples(st.just("baggage"), BAGGAGES),
    st.tuples(st.just("X-One"), st.sampled_from(["x", "a b,c"])),
)

ARRIVALS: dict[str, st.SearchStrategy[Any]] = {
    "W3CTracing": st.lists(FIELDS, max_size=5).map(tuple),
}

CONFIGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "W3CTracing": st.fixed_dictionaries(
        {
            "kind": st.just("noop"),
            "baggage": st.dictionaries(
                st.sampled_from(["route", "who"]),
                st.sampled_from(["${route.id}", "${req.headers.x-one:none}", "plain é", ""]),
            ),
        }
    )
}


def without_random_ids(name: bytes, value: bytes) -> Any:
    """Return what of a `traceparent` is not random: a span's id always is, a new trace's too."""
    if name.lower() != b"traceparent":
        return value
    version, trace, span, flags = value.decode().split("-")
    assert len(span) == 16
    assert set(span) != {"0"}
    known = trace if trace in GOOD else len(trace)
    return version, known, flags
