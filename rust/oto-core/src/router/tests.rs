//! The routing rules, one test a rule. The broad comparison with the readable twin is in
//! `tests/conformance/test_router.py`.

use serde_json::{Value, json};

use super::*;

struct Ask<'a> {
    method: &'a str,
    domain: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    listener: &'a str,
    exclusive: bool,
}

impl RequestFacts for Ask<'_> {
    fn domain(&self) -> &str {
        self.domain
    }
    fn path(&self) -> &str {
        self.path
    }
    fn method(&self) -> &str {
        self.method
    }
    fn query(&self) -> &str {
        self.query
    }
    fn header(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let mut named = self.headers.iter().filter(|(name, _)| *name == lower_name);
        named.any(|(_, value)| visit(value.as_bytes()))
    }
    fn listener(&self) -> &str {
        self.listener
    }
    fn listener_is_exclusive(&self) -> bool {
        self.exclusive
    }
}

/// GET of `domain/path`.
fn get(target: &str) -> Ask<'_> {
    let slash = target.find('/').unwrap_or(target.len());
    Ask {
        method: "GET",
        domain: &target[..slash],
        path: &target[slash..],
        query: "",
        headers: &[],
        listener: "standard-listener",
        exclusive: false,
    }
}

fn add(router: &mut Router<u32>, id: &str, json: Value) {
    add_bound(router, id, json, true, &[]);
}

fn add_bound(router: &mut Router<u32>, id: &str, json: Value, enabled: bool, bound: &[String]) {
    match Frontend::from_json(&json, enabled, bound) {
        Ok(frontend) => router.insert(id, frontend, 0),
        Err(error) => panic!("{error}"),
    }
}

/// A router of routes that are named like the domain they declare.
fn table(domains: &[&str]) -> Router<u32> {
    let mut router = Router::default();
    for domain in domains {
        add(&mut router, domain, json!({"domain": domain}));
    }
    router
}

/// The winner's id and the length it matched.
fn winner<'a>(router: &'a Router<u32>, ask: &Ask<'_>) -> Option<(&'a str, usize)> {
    let found = router.find(ask, &mut |_| true);
    found.map(|found| (&*found.route.id, found.matched_len))
}

#[test]
fn the_deepest_declared_prefix_wins() {
    let router = table(&["a", "a/x", "a/x/y", "b/x"]);
    for (target, expected) in [
        ("a/", Some(("a", 0))),
        ("a/z", Some(("a", 0))),
        ("a/x", Some(("a/x", 2))),
        ("a/x/", Some(("a/x", 2))),
        ("a/x/z/z", Some(("a/x", 2))),
        ("a/x/y/z", Some(("a/x/y", 4))),
        ("b/", None),
        ("b/y", None),
        ("c/", None),
    ] {
        assert_eq!(winner(&router, &get(target)), expected, "{target}");
    }
}

#[test]
fn a_segment_may_be_matched_at_its_start() {
    let router = table(&["a", "a/api/999", "a/api/9", "a/api/99/", "a/api/999-/x"]);
    for (target, expected) in [
        ("a/api/999-foo", Some(("a/api/999", 8))),
        ("a/api/999-foo/x", Some(("a/api/999", 8))),
        ("a/api/99x", Some(("a/api/9", 6))),
        ("a/api/99", Some(("a/api/99/", 7))),
        ("a/api/999-foo/", Some(("a", 0))),
        ("a/api/8", Some(("a", 0))),
    ] {
        assert_eq!(winner(&router, &get(target)), expected, "{target}");
    }
}

#[test]
fn exact_segments_go_before_params_and_those_before_stars() {
    let router = table(&[
        "a/x",
        "a/:id/k",
        "a/$n<[0-9]+>",
        "a/v*",
        "a/v1*",
        "b/$n<[0-9]+>",
        "b/*",
    ]);
    for (target, expected) in [
        ("a/x/k", Some(("a/x", 2))),
        ("a/y/k", Some(("a/:id/k", 4))),
        ("a/12", Some(("a/$n<[0-9]+>", 3))),
        ("a/12/k", Some(("a/:id/k", 5))),
        ("a/12/z", Some(("a/$n<[0-9]+>", 3))),
        ("a/v1", None),
        ("b/12", Some(("b/$n<[0-9]+>", 3))),
        ("b/v12/z", Some(("b/*", 4))),
    ] {
        assert_eq!(winner(&router, &get(target)), expected, "{target}");
    }
    let router = table(&["a/v*", "a/v1*", "a/*"]);
    assert_eq!(winner(&router, &get("a/v12")), Some(("a/v1*", 4)));
    assert_eq!(winner(&router, &get("a/v2")), Some(("a/v*", 3)));
    assert_eq!(winner(&router, &get("a/w")), Some(("a/*", 2)));
}

#[test]
fn only_the_winners_names_are_bound() {
    let router = table(&["a/:id/foo/:x", "a/:key/$n<b.*>/:y/end", "a/$k<[0-9]+>/*/:z"]);
    let bound = |path: &str| -> Vec<(String, String)> {
        let found = router.find(&get(&format!("a{path}")), &mut |_| true);
        let params = found.map(|found| found.params).unwrap_or_default();
        let owned = |(name, range): (&str, Range<usize>)| (name.to_owned(), path[range].to_owned());
        params.into_iter().map(owned).collect()
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        list.iter().map(owned).collect()
    };
    assert_eq!(bound("/1/foo/2"), pairs(&[("id", "1"), ("x", "2")]));
    let expected = pairs(&[("key", "k"), ("n", "bar"), ("y", "2")]);
    assert_eq!(bound("/k/bar/2/end/more"), expected);
    assert_eq!(bound("/12/bar-/"), pairs(&[]));
    assert_eq!(bound("/12/q/7/8"), pairs(&[("k", "12"), ("z", "7")]));
}

#[test]
fn exact_wants_every_segment() {
    let mut router = Router::default();
    add(&mut router, "one", json!({"domain": "a/x", "exact": true}));
    add(&mut router, "deep", json!({"domain": "a/x/y/z"}));
    assert_eq!(winner(&router, &get("a/x")), Some(("one", 2)));
    assert_eq!(winner(&router, &get("a/x/")), Some(("one", 2)));
    for target in ["a/x/q", "a/x/y", "a/x/q/", "a/x-y"] {
        assert_eq!(winner(&router, &get(target)), None, "{target}");
    }
}

#[test]
fn an_exact_domain_goes_before_the_most_specific_pattern() {
    let names = [
        "*",
        "*.com",
        "*.b.com",
        "a.*.com",
        "x.b.com/only",
        "api.*",
        "*b.com",
    ];
    let router = table(&names);
    for (target, expected) in [
        ("x.b.com/only", Some("x.b.com/only")),
        ("x.b.com/", None),
        ("y.b.com/", Some("*.b.com")),
        ("a.b.com/", Some("*.b.com")),
        ("a.x.com/", Some("a.*.com")),
        ("xb.com/", Some("*b.com")),
        ("api.org/", Some("api.*")),
        ("com/", Some("*")),
        ("y.com/", Some("*.com")),
    ] {
        let found = winner(&router, &get(target)).map(|(id, _)| id);
        assert_eq!(found, expected, "{target}");
    }
}

#[test]
fn more_matchers_go_first_then_the_oldest() {
    let mut router = Router::default();
    add(&mut router, "plain", json!({"domain": "a"}));
    add(&mut router, "later", json!({"domain": "a"}));
    add(
        &mut router,
        "one",
        json!({"domain": "a", "query": {"q": "1"}}),
    );
    let two = json!({"domain": "a", "query": {"q": "1"}, "headers": {"X-A": "Exists()"}});
    add(&mut router, "two", two);
    let mut ask = get("a/");
    assert_eq!(winner(&router, &ask), Some(("plain", 0)));
    ask.query = "q=1";
    assert_eq!(winner(&router, &ask), Some(("one", 0)));
    ask.headers = &[("x-a", "")];
    assert_eq!(winner(&router, &ask), Some(("two", 0)));
    // A replaced route keeps its place among its equals.
    add(&mut router, "plain", json!({"domains": ["a", "b"]}));
    assert_eq!(winner(&router, &get("a/")), Some(("plain", 0)));
    router.remove("plain");
    add(&mut router, "plain", json!({"domain": "a"}));
    assert_eq!(winner(&router, &get("a/")), Some(("later", 0)));
}

#[test]
fn candidates_of_merged_places_keep_their_order() {
    let mut router = Router::default();
    add(&mut router, "regex", json!({"domain": "a/$n<.*>"}));
    add(&mut router, "named", json!({"domain": "a/:n"}));
    let strict = json!({"domain": "a/$n<[0-9]+>", "query": {"q": "1"}});
    add(&mut router, "strict", strict);
    let mut ask = get("a/1");
    let mut seen = Vec::new();
    let mut order = |ask: &Ask<'_>| {
        let reports = router.explain(ask, &mut |_| true).candidates;
        seen = reports.iter().map(|report| report.id.to_owned()).collect();
        seen.clone()
    };
    assert_eq!(order(&ask), ["strict", "regex", "named"]);
    ask.path = "/x";
    assert_eq!(order(&ask), ["regex", "named"]);
}

#[test]
fn of_one_routes_declarations_the_first_binds_the_names() {
    for domains in [["a/$n<[0-9]+>", "a/:id"], ["a/:id", "a/$n<[0-9]+>"]] {
        let mut router = Router::default();
        add(&mut router, "r", json!({ "domains": domains }));
        let found = router.find(&get("a/1"), &mut |_| true);
        let name = found.and_then(|found| found.params.first().map(|(name, _)| *name));
        assert_eq!(
            name,
            Some(if domains[0].contains('$') { "n" } else { "id" })
        );
    }
}

#[test]
fn methods_headers_cookies_and_the_hook_filter() {
    let mut router = Router::default();
    let json = json!({"domain": "a", "methods": ["GET", "HEAD"],
        "headers": {"X-Kind": "Regex(k[0-9])"}, "cookies": {"Session": "NotDefined()"}});
    add(&mut router, "r", json);
    let mut ask = get("a/");
    ask.headers = &[("x-kind", "no"), ("x-kind", "k1")];
    assert_eq!(winner(&router, &ask), Some(("r", 0)));
    assert!(router.find(&ask, &mut |_| false).is_none());
    ask.method = "get";
    assert_eq!(winner(&router, &ask), None);
    ask.method = "HEAD";
    ask.headers = &[("x-kind", "k1"), ("cookie", "session=1")];
    assert_eq!(winner(&router, &ask), None);
    ask.headers = &[("x-kind", "k12")];
    assert_eq!(winner(&router, &ask), None);
}

#[test]
fn listeners_serve_what_is_bound_to_them() {
    let mut router = Router::default();
    let bound = ["special".to_owned()];
    add_bound(
        &mut router,
        "bound",
        json!({"domain": "a", "query": {"x": "1"}}),
        true,
        &bound,
    );
    let standard = ["experimental-listener".to_owned()];
    add_bound(
        &mut router,
        "standard",
        json!({"domain": "a/s"}),
        true,
        &standard,
    );
    add(&mut router, "free", json!({"domain": "a"}));
    let mut ask = get("a/");
    ask.query = "x=1";
    assert_eq!(winner(&router, &ask), Some(("free", 0)));
    ask.listener = "special";
    assert_eq!(winner(&router, &ask), Some(("bound", 0)));
    ask.listener = "other";
    assert_eq!(winner(&router, &ask), Some(("free", 0)));
    ask.exclusive = true;
    assert_eq!(winner(&router, &ask), None);
    ask.listener = "special";
    assert_eq!(winner(&router, &ask), Some(("bound", 0)));
    assert_eq!(winner(&router, &get("a/s")), Some(("standard", 2)));
}

#[test]
fn a_disabled_route_takes_no_part() {
    let mut router = table(&["a/:id"]);
    add_bound(&mut router, "off", json!({"domain": "a/me"}), false, &[]);
    assert_eq!(winner(&router, &get("a/me")), Some(("a/:id", 3)));
    let explanation = router.explain(&get("a/me"), &mut |_| true);
    let codes = codes(&explanation);
    assert_eq!(codes, [("a/:id", ""), ("off", "disabled")]);
    add(&mut router, "off", json!({"domain": "a/me"}));
    assert_eq!(winner(&router, &get("a/me")), Some(("off", 3)));
    assert_eq!(router.len(), 2);
}

#[test]
fn a_clone_is_not_changed_by_edits() {
    let mut router = table(&["a/x", "a/x/:i/y", "*.b/x", "c"]);
    let before = router.clone();
    assert!(router.remove("a/x/:i/y"));
    assert!(!router.remove("a/x/:i/y"));
    add(&mut router, "c", json!({"domain": "d"}));
    assert_eq!(winner(&before, &get("a/x/1/y")), Some(("a/x/:i/y", 6)));
    assert_eq!(winner(&router, &get("a/x/1/y")), Some(("a/x", 2)));
    assert_eq!(winner(&before, &get("c/")), Some(("c", 0)));
    assert_eq!(winner(&router, &get("c/")), None);
    for id in ["a/x", "*.b/x", "c"] {
        router.remove(id);
    }
    assert!(router.is_empty());
    assert!(router.live.is_empty(), "an empty router holds no nodes");
    assert_eq!(before.len(), 4);
}

fn codes<'a>(explanation: &Explanation<'a>) -> Vec<(&'a str, &'static str)> {
    let code = |report: &CandidateReport<'a>| {
        let loss = report.loss.as_ref().map_or("", Loss::code);
        (report.id, loss)
    };
    explanation.candidates.iter().map(code).collect()
}

#[test]
fn an_explanation_says_why_each_route_lost() {
    let mut router = table(&["a", "a/x/y", "a/:id", "*/x/y", "a/x/y/q", "b"]);
    let base = json!({"domain": "a/x/y"});
    for (id, key, value) in [
        ("method", "methods", json!(["PUT"])),
        ("exact", "exact", json!(true)),
        ("header", "headers", json!({"X-A": "1"})),
        ("query", "query", json!({"q": "Wildcard(a*)"})),
        ("cookie", "cookies", json!({"c": "Exists()"})),
    ] {
        let mut json = base.clone();
        json[key] = value;
        add(&mut router, id, json);
    }
    add_bound(
        &mut router,
        "bound",
        base.clone(),
        true,
        &["other".to_owned()],
    );
    let ask = get("a/x/y/z");
    let explanation = router.explain(&ask, &mut |_| true);
    let expected = [
        ("header", "header"),
        ("query", "query"),
        ("cookie", "cookie"),
        ("a/x/y", ""),
        ("method", "method"),
        ("exact", "exact"),
        ("bound", "listener"),
        ("a/:id", "shallower_path"),
        ("a", "shallower_path"),
        ("*/x/y", "other_domain"),
    ];
    assert_eq!(codes(&explanation), expected);
    assert_eq!(explanation.domains, ["a", "*"]);
    let json = serde_json::to_value(&explanation).unwrap_or_default();
    assert_eq!(json["winner"]["matched_path"], "/x/y");
    assert_eq!(
        json["candidates"][0]["loss"]["detail"],
        "header x-a must be \"1\""
    );
    assert_eq!(json["candidates"][3]["loss"], Value::Null);
    let refused = router.explain(&ask, &mut |_| false);
    assert!(refused.winner.is_none());
    assert!(codes(&refused).contains(&("a/x/y", "refused")));
}

#[test]
fn an_explanation_names_routes_that_were_passed_by() {
    let router = table(&["a/me/deep", "a/:id", "a/:id/k", "a/mo/"]);
    let codes_of = |target| codes(&router.explain(&get(target), &mut |_| true));
    let aside = [
        ("a/:id/k", "less_specific_segment"),
        ("a/:id", "less_specific_segment"),
    ];
    assert_eq!(codes_of("a/me/k"), aside);
    assert_eq!(codes_of("a/mo-x"), [("a/:id", "")]);
}

#[test]
fn an_explanation_is_bounded() {
    let mut router = Router::default();
    for number in 0..300 {
        add(
            &mut router,
            &number.to_string(),
            json!({"domain": "a", "methods": ["PUT"]}),
        );
    }
    add(&mut router, "last", json!({"domain": "a"}));
    let explanation = router.explain(&get("a/"), &mut |_| true);
    assert!(explanation.truncated);
    assert_eq!(explanation.candidates.len(), 201);
    assert_eq!(explanation.winner.map(|winner| winner.id), Some("last"));
}

#[test]
fn nodes_stay_small() {
    // Less than a cache line: a table of 100,000 domains has some 300,000 nodes.
    assert_eq!(size_of::<trie::Node<u32>>(), 56);
    assert_eq!(size_of::<Candidate<u32>>(), 24);
}
