//! From a head to a decision: routing, native steps, the choice of a target.
#![allow(missing_docs)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use oto_core::http1::{HeadLimits, Request, ResponseHead, request};
use oto_core::limits::{Limits, Setup};
use oto_core::plan::{Change, Downstream, FORESEEN_AT_ONCE, Flow, Moment, Next, Snapshot};

const HEAD: &[u8] =
    b"GET /users/42 HTTP/1.1\r\nHost: api.example.com\r\nAccept: */*\r\nX-Debug: 1\r\n\r\n";

const FORWARD: &str = r#""steps":[]"#;
const CHAIN: &str = r#""steps":[
    {"phase":"access","kind":"allow_methods","allowed":["GET","POST"]},
    {"phase":"access","kind":"require_headers","headers":{"x-debug":"1"}},
    {"phase":"transform_request","kind":"override_host"},
    {"phase":"transform_request","kind":"set_headers","headers":{"x-a":"1","x-b":"2"}},
    {"phase":"transform_request","kind":"remove_headers","names":["x-debug"]},
    {"phase":"transform_request","kind":"x_forwarded"},
    {"phase":"transform_response","kind":"set_headers","headers":{"x-c":"3"}}]"#;

fn plans(criterion: &mut Criterion) {
    let downstream = downstream();
    let limits = HeadLimits::default();
    for (name, steps) in [("a plain route", FORWARD), ("seven native steps", CHAIN)] {
        let route = format!(
            r#"{{"id":"r","frontend":{{"domains":["api.example.com"]}},
            "backend":{{"targets":[{{"hostname":"10.0.0.1","port":80}}]}},{steps}}}"#
        );
        let applied = Snapshot::default().apply(&Change {
            routes: &[route.as_bytes()],
            ..Change::default()
        });
        let Ok(snapshot) = applied.map(Arc::new) else {
            return;
        };
        let (mut spare, mut answer) = (Request::default(), ResponseHead::default());
        criterion.bench_function(&format!("from head to forward, {name}"), |bench| {
            bench.iter(|| {
                let mut head = std::mem::take(&mut spare);
                head.clear();
                black_box(request::parse(HEAD, &limits, &mut head).is_ok());
                let mut flow = Flow::begin(
                    1,
                    head,
                    std::mem::take(&mut answer),
                    downstream.clone(),
                    Arc::clone(&snapshot),
                    Moment::default(),
                );
                assert_eq!(flow.advance(), Next::Forward);
                flow.begin_response();
                assert_eq!(flow.advance(), Next::Stream);
                spare = flow.request;
                answer = flow.response;
            });
        });
    }
}

/// Every route of a table in a random order: at 100,000 routes nearly each look misses the cache.
fn tables(criterion: &mut Criterion) {
    for size in [10usize, 100_000] {
        let routes: Vec<String> = (0..size)
            .map(|at| {
                format!(
                    r#"{{"id":"route-{at}","name":"route {at}","frontend":{{"domains":["d{}.example.com/path-{at}"],
                    "strip_path":false}},"backend":{{"targets":[{{"hostname":"127.0.0.1","port":9000}}]}},"steps":[]}}"#,
                    at % 10
                )
            })
            .collect();
        let upserts: Vec<_> = routes.iter().map(String::as_bytes).collect();
        let Ok(snapshot) = Snapshot::default()
            .apply(&Change {
                routes: &upserts,
                ..Change::default()
            })
            .map(Arc::new)
        else {
            return;
        };
        let heads: Vec<Vec<u8>> = (0..size)
            .map(|at| {
                let head = format!(
                    "GET /path-{at}/x HTTP/1.1\r\nHost: d{}.example.com\r\n\r\n",
                    at % 10
                );
                head.into_bytes()
            })
            .collect();
        forward_all(
            criterion,
            &format!("from head to forward, {size} routes in random order"),
            &heads,
            &snapshot,
        );
    }
}

/// A key of a table, its quotas counted, on a route of a table: at 100,000 keys nearly each look misses
/// the cache.
fn keys(criterion: &mut Criterion) {
    for (keys, routes) in [(10usize, 10usize), (100_000, 10_000)] {
        let rows: Vec<String> = (0..routes)
            .map(|at| {
                format!(
                    r#"{{"id":"route-{at}","name":"route {at}","membership":{{"groups":["default"]}},
                    "frontend":{{"domains":["d{}.example.com/path-{at}"],"strip_path":false}},
                    "backend":{{"targets":[{{"hostname":"127.0.0.1","port":9000}}]}},
                    "steps":[{{"phase":"match_route","kind":"apikey_calls"}},
                    {{"phase":"access","kind":"apikey_calls"}},
                    {{"phase":"transform_request","kind":"apikey_calls"}}]}}"#,
                    at % 10
                )
            })
            .collect();
        let upserts: Vec<_> = rows.iter().map(String::as_bytes).collect();
        let entities: Vec<(String, String)> = (0..keys)
            .map(|at| {
                let id = format!("client-{at:06}");
                let json = format!(
                    r#"{{"clientId":"{id}","clientSecret":"secret-{at:06}","clientName":"client {at}",
                    "authorizations":[{{"kind":"group","id":"default"}}]}}"#
                );
                (id, json)
            })
            .collect();
        let entities: Vec<_> = entities
            .iter()
            .map(|(id, json)| ("apikeys", id.as_str(), Some(json.as_bytes())))
            .collect();
        let limits = Limits::anonymous(Setup {
            slots: 262_144,
            ..Setup::default()
        });
        let Ok(limits) = limits else { return };
        let before = Snapshot::counting_in(Arc::new(limits));
        let applied = before.apply(&Change {
            routes: &upserts,
            entities: &entities,
            ..Change::default()
        });
        let Ok(snapshot) = applied.map(Arc::new) else {
            return;
        };
        let heads: Vec<Vec<u8>> = (0..keys)
            .map(|at| {
                let route = at % routes;
                let head = format!(
                    "GET /path-{route}/x HTTP/1.1\r\nHost: d{}.example.com\r\n\
                    Otoroshi-Client-Id: client-{at:06}\r\nOtoroshi-Client-Secret: secret-{at:06}\r\n\r\n",
                    route % 10
                );
                head.into_bytes()
            })
            .collect();
        forward_all(
            criterion,
            &format!("from head to forward, {keys} API keys in random order"),
            &heads,
            &snapshot,
        );
        forward_together(
            criterion,
            &format!("from head to forward, {keys} API keys, sixteen requests at once"),
            &heads,
            &snapshot,
        );
    }
}

/// As [`forward_all`], with the lookups of sixteen requests interleaved as an engine's turn does it.
fn forward_together(
    criterion: &mut Criterion,
    name: &str,
    heads: &[Vec<u8>],
    snapshot: &Arc<Snapshot>,
) {
    let downstream = downstream();
    let bounds = HeadLimits::default();
    let mut spare: Vec<_> = (0..FORESEEN_AT_ONCE)
        .map(|_| (Request::default(), ResponseHead::default()))
        .collect();
    let mut at = 0usize;
    criterion.bench_function(name, |bench| {
        bench.iter(|| {
            let mut foreseen = Vec::with_capacity(FORESEEN_AT_ONCE);
            for (head, _) in &mut spare {
                at = (at + 48_271) % heads.len();
                head.clear();
                black_box(request::parse(&heads[at], &bounds, head).is_ok());
                foreseen.extend(snapshot.foresee(head, "standard-listener"));
            }
            snapshot.fetch_all(foreseen.iter());
            for (request, response) in &mut spare {
                let mut flow = Flow::begin(
                    1,
                    std::mem::take(request),
                    std::mem::take(response),
                    downstream.clone(),
                    Arc::clone(snapshot),
                    Moment::default(),
                );
                assert_eq!(flow.advance(), Next::Forward);
                black_box(flow.target().map(|target| target.address.len()));
                *request = flow.request;
                *response = flow.response;
            }
        });
    });
}

/// Bring requests as far as their target, one after the other, far from each other in the list.
fn forward_all(criterion: &mut Criterion, name: &str, heads: &[Vec<u8>], snapshot: &Arc<Snapshot>) {
    let downstream = downstream();
    let bounds = HeadLimits::default();
    let (mut spare, mut answer, mut at) = (Request::default(), ResponseHead::default(), 0usize);
    criterion.bench_function(name, |bench| {
        bench.iter(|| {
            at = (at + 48_271) % heads.len();
            let mut head = std::mem::take(&mut spare);
            head.clear();
            black_box(request::parse(&heads[at], &bounds, &mut head).is_ok());
            let mut flow = Flow::begin(
                1,
                head,
                std::mem::take(&mut answer),
                downstream.clone(),
                Arc::clone(snapshot),
                Moment::default(),
            );
            assert_eq!(flow.advance(), Next::Forward);
            black_box(flow.target().map(|target| target.address.len()));
            spare = flow.request;
            answer = flow.response;
        });
    });
}

fn downstream() -> Downstream {
    Downstream {
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
        secured: false,
        listener: Arc::from("standard-listener"),
        is_exclusive: false,
        client_cert: None,
    }
}

criterion_group!(benches, plans, tables, keys);
criterion_main!(benches);
