"""What the twins of the plugin for gRPC-Web are tried with."""

from typing import Any

from hypothesis import strategies as st

__all__ = ["ARRIVALS", "CONFIGS", "EXTRAS"]

NAMES = st.lists(st.sampled_from(["users", "a.users", "a", "users.b", "1", "a b", ""]), max_size=2)
ASKED = st.sampled_from(
    [
        "application/grpc-web",
        "application/grpc-web+proto",
        "Application/gRPC-web+json; charset=utf-8",
        "application/grpc-web-text",
        "application/grpc-web-text+json;x",
        "application/grpc-web-text+proto x",
        "application/grpc-web-TEXT",
        "application/grpc-webs",
        "application/grpc-web-texts",
        "application/grpc-web+",
        "application/grpc",
        "text/html",
        "",
    ]
)
ANSWERED = st.sampled_from(
    [
        "application/grpc",
        "application/GRPC+json",
        "application/grpc;a=b",
        "application/grpc-web",
        "",
    ]
)
CONTENT_TYPE = st.sampled_from(["Content-Type", "content-type"])

CONFIGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "GrpcWebProxyPlugin": st.fixed_dictionaries(
        {},
        optional={
            "allowed_services": NAMES,
            "allow_services": NAMES,
            "allow_methods": NAMES,
            "blocked_methods": NAMES,
        },
    )
}
ARRIVALS: dict[str, st.SearchStrategy[Any]] = {
    "GrpcWebProxyPlugin": st.tuples(st.tuples(CONTENT_TYPE, ASKED))
}
EXTRAS: dict[str, Any] = {
    "GrpcWebProxyPlugin": {
        "response_headers": st.tuples(st.tuples(CONTENT_TYPE, ANSWERED)),
        "target": st.sampled_from(
            ["/users/1", "/users/a%20b/c", "/users", "/a.users/1", "/users//"]
        ),
    }
}
