//! What a route takes in a snapshot, counted in octets asked of the allocator.
//!
//! Its own rounding and what lies free between the pieces come on top: about a fifth. The bounds are what
//! is reached, rounded up; whoever makes routes larger sees it here first, and not in a worker's memory.

use oto_core::plan::{Change, Snapshot};
use serde_json::{Value, json};

const ROUTES: usize = 4_000;

/// Octets for each route that a snapshot of many keeps.
fn octets_a_route(document: impl Fn(usize) -> Value) -> u64 {
    let documents: Vec<Vec<u8>> = (0..ROUTES)
        .map(|number| document(number).to_string().into_bytes())
        .collect();
    let mut snapshot = Snapshot::default();
    let counted = allocation_counter::measure(|| {
        for slice in documents.chunks(64) {
            let routes: Vec<&[u8]> = slice.iter().map(Vec::as_slice).collect();
            let change = Change {
                routes: &routes,
                ..Change::default()
            };
            let next = snapshot.apply(&change);
            assert!(next.is_ok(), "{next:?}");
            snapshot = next.unwrap_or_default();
        }
    });
    assert_eq!(snapshot.router.len(), ROUTES);
    counted.bytes_current.unsigned_abs() / ROUTES as u64
}

fn route(number: usize, domain: &str, backend: &Value) -> Value {
    json!({
        "id": format!("route_company_{number}"),
        "name": format!("service {number}"),
        "frontend": {"domains": [domain], "strip_path": false},
        "backend": backend,
        "membership": {"tenant": "default", "groups": ["default"]},
        "steps": [],
        "legacy_checks": true,
    })
}

#[test]
fn a_route_is_small() {
    let shared = json!({"targets": [{"hostname": "10.0.0.1", "port": 8080}]});
    let below_domains = octets_a_route(|number| {
        let domain = format!(
            "api{}.example.com/team{}/service{number}/",
            number % 10,
            number / 100
        );
        route(number, &domain, &shared)
    });
    let own_domains =
        octets_a_route(|number| route(number, &format!("service{number}.example.com"), &shared));
    let own_backends = octets_a_route(|number| {
        let hostname = format!("service{number}.internal");
        let backend = json!({"targets": [{"hostname": hostname, "port": 8080}]});
        route(number, &format!("service{number}.example.com"), &backend)
    });
    for (what, octets, most) in [
        ("a path of its own", below_domains, 540),
        ("a domain of its own", own_domains, 540),
        ("a domain and a backend of its own", own_backends, 900),
    ] {
        assert!(octets <= most, "a route with {what} takes {octets} octets");
    }
}
