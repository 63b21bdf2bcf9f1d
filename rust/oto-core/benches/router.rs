//! Router lookups and edits by size of the table.
//!
//! `hot` asks for the same 64 routes again and again, as traffic does; `spread` asks for all routes
//! of the table in a random order, so that at 100,000 routes nearly every step misses the cache.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use oto_core::router::{Frontend, RequestFacts, Router};
use serde_json::json;

const SIZES: [usize; 3] = [10, 10_000, 100_000];
const HOT: usize = 64;

/// A GET without headers.
struct Get {
    domain: String,
    path: String,
}

impl RequestFacts for Get {
    fn domain(&self) -> &str {
        &self.domain
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn method(&self) -> &str {
        "GET"
    }
    fn query(&self) -> &str {
        ""
    }
    fn header(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
    fn listener(&self) -> &str {
        "standard-listener"
    }
}

/// How the routes of a table differ.
struct Shape {
    name: &'static str,
    declared: fn(usize) -> String,
    request: fn(usize) -> (String, String),
}

const SHAPES: [Shape; 4] = [
    Shape {
        name: "domains",
        declared: |n| format!("r{n}.example.com/api/users"),
        request: |n| (format!("r{n}.example.com"), "/api/users/12".into()),
    },
    Shape {
        name: "paths",
        declared: |n| format!("api.example.com/api/r{n}"),
        request: |n| ("api.example.com".into(), format!("/api/r{n}")),
    },
    Shape {
        name: "wildcards",
        declared: |n| format!("*.r{n}.example.com/api/users"),
        request: |n| (format!("a.r{n}.example.com"), "/api/users/12".into()),
    },
    Shape {
        name: "params",
        declared: |n| format!("api.example.com/r{n}/:id/orders"),
        request: |n| ("api.example.com".into(), format!("/r{n}/12/orders")),
    },
];

fn frontend(declared: &str) -> Frontend {
    let json = json!({ "domain": declared });
    match Frontend::from_json(&json, true, &[]) {
        Ok(frontend) => frontend,
        Err(error) => unreachable!("{error}"),
    }
}

fn table(shape: &Shape, size: usize) -> Router<usize> {
    let mut router = Router::default();
    for number in 0..size {
        let declared = (shape.declared)(number);
        router.insert(number.to_string(), frontend(&declared), number);
    }
    router
}

/// `count` requests for routes all over the table, in no order.
fn requests(shape: &Shape, size: usize, count: usize) -> Vec<Get> {
    // A prime step visits all places before it comes back to one.
    let chosen = (0..count).map(|turn| turn * 7_368_787 % size);
    let made = chosen.map(|number| {
        let (domain, path) = (shape.request)(number);
        Get { domain, path }
    });
    made.collect()
}

fn lookups(criterion: &mut Criterion) {
    for shape in &SHAPES {
        let mut group = criterion.benchmark_group(format!("router/{}", shape.name));
        for size in SIZES {
            let router = table(shape, size);
            for (kind, count) in [("hot", HOT), ("spread", size)] {
                let asked = requests(shape, size, count);
                let mut turn = asked.iter().cycle();
                group.bench_function(BenchmarkId::new(kind, size), |bencher| {
                    bencher.iter(|| {
                        let found = turn.next().map(|get| router.find(get, &mut |_| true));
                        assert!(black_box(found).flatten().is_some());
                    });
                });
            }
        }
        group.finish();
    }
}

fn misses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("router/miss");
    for size in SIZES {
        let router = table(&SHAPES[1], size);
        let get = Get {
            domain: "api.example.com".into(),
            path: "/api/users".into(),
        };
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| assert!(router.find(black_box(&get), &mut |_| true).is_none()));
        });
    }
    group.finish();
}

/// One route more and one less on a copy, while the original stays in use.
fn edits(criterion: &mut Criterion) {
    for shape in &SHAPES[..3] {
        let mut group = criterion.benchmark_group(format!("router/edit-{}", shape.name));
        for size in SIZES {
            let router = table(shape, size);
            let added = frontend(&(shape.declared)(size));
            let removed = (size / 2).to_string();
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| {
                    let mut next = router.clone();
                    next.insert("added", added.clone(), 0);
                    assert!(next.remove(&removed));
                    next
                });
            });
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    lookups(&mut criterion);
    misses(&mut criterion);
    edits(&mut criterion);
    criterion.final_summary();
}
