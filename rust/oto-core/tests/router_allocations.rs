//! A lookup without bound names allocates nothing, whatever the table and the outcome.

use oto_core::router::{Frontend, RequestFacts, Router};
use serde_json::json;

/// A GET with one header and a query.
struct Get(&'static str, &'static str);

impl RequestFacts for Get {
    fn domain(&self) -> &str {
        self.0
    }
    fn path(&self) -> &str {
        self.1
    }
    fn method(&self) -> &str {
        "GET"
    }
    fn query(&self) -> &str {
        "page=1"
    }
    fn header(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        lower_name == "cookie" && visit(b"theme=dark; session=1")
    }
    fn listener(&self) -> &str {
        "standard-listener"
    }
}

#[test]
fn a_lookup_allocates_nothing_but_bound_names() -> Result<(), Box<dyn std::error::Error>> {
    let mut router = Router::default();
    for number in 0..500 {
        let frontend = json!({"domains": [
            format!("r{number}.example.com/api"),
            format!("*.r{number}.example.com/api/v*"),
            format!("api.example.com/r{number}"),
        ], "methods": ["GET"], "query": {"page": "1"}, "cookies": {"session": "Exists()"}});
        let frontend = Frontend::from_json(&frontend, true, &[])?;
        router.insert(number.to_string(), frontend, number);
    }
    let frontend = Frontend::from_json(&json!({"domain": "api.example.com/u/:id"}), true, &[])?;
    router.insert("named", frontend, 500);
    for (host, path, expected, allocations) in [
        ("r7.example.com", "/api/users/12", Some(7), 0),
        ("a.r7.example.com", "/api/v1/users", Some(7), 0),
        ("api.example.com", "/r12", Some(12), 0),
        ("api.example.com", "/r12-x", Some(12), 0),
        ("api.example.com", "/users", None, 0),
        ("nobody.example.com", "/", None, 0),
        ("api.example.com", "/u/12/x", Some(500), 1),
    ] {
        let mut found = None;
        let counted = allocation_counter::measure(|| {
            found = router
                .find(&Get(host, path), &mut |_| true)
                .map(|m| m.route.value);
        });
        assert_eq!(found, expected, "{host}{path}");
        assert_eq!(counted.count_total, allocations, "{host}{path}");
    }
    Ok(())
}
