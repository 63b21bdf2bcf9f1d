//! Invariant: no route, however odd its domains, paths, matchers and patterns, brings a panic when it
//! is compiled or when a request is matched with it; what is refused says why.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use oto_core::plan::{Change, Question, Snapshot};
use serde_json::json;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: Option<&'a [u8]>,
    domains: Vec<&'a str>,
    matcher: &'a str,
    name: &'a str,
    root: &'a str,
    pattern: &'a str,
    strip_path: bool,
    exact: bool,
    retries: i64,
    timeout: f64,
    host: &'a str,
    target: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let route = match input.raw {
        Some(bytes) => bytes.to_vec(),
        None => route(&input),
    };
    let empty = Snapshot::default();
    let change = Change {
        routes: &[route.as_slice()],
        settings: input.raw,
        ..Change::default()
    };
    match empty.apply(&change) {
        Ok(snapshot) => ask(&Arc::new(snapshot), &input),
        Err(problem) => assert!(!problem.to_string().is_empty()),
    }
});

/// A route with the input's words in every place that is read as more than text.
fn route(input: &Input<'_>) -> Vec<u8> {
    json!({
        "id": "r",
        "frontend": {
            "domains": input.domains,
            "strip_path": input.strip_path,
            "exact": input.exact,
            "headers": { input.name: input.matcher },
            "query": { input.name: input.matcher },
            "cookies": { input.name: input.matcher },
            "methods": [input.name],
        },
        "backend": {
            "root": input.root,
            "targets": [{ "hostname": "a", "port": 1, "protocol": input.name }],
            "client": { "retries": input.retries, "call_timeout": input.timeout },
        },
        "steps": [
            { "phase": "access", "kind": "require_headers", "headers": { "x": input.matcher },
              "include": [input.pattern] },
            { "phase": "transform_request", "kind": "set_headers",
              "headers": { input.name: input.matcher }, "exclude": [input.pattern] },
        ],
    })
    .to_string()
    .into_bytes()
}

fn ask(snapshot: &Arc<Snapshot>, input: &Input<'_>) {
    let headers = [
        ("host".to_owned(), input.host.to_owned()),
        (input.name.to_owned(), input.matcher.to_owned()),
    ];
    let question = Question {
        method: "GET",
        target: input.target,
        headers: &headers,
        secured: false,
        listener: "standard-listener",
        exclusive: false,
    };
    if let Ok(answer) = snapshot.explain(&question) {
        assert!(answer.is_object());
    }
}
