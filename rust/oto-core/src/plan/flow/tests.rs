//! How a flow goes on.

use std::net::Ipv4Addr;

use super::super::snapshot::Change;
use super::*;
use crate::http1::{HeadLimits, Version};

fn begin(route: &str, settings: &str) -> Flow {
    begin_at("/", route, settings)
}

fn begin_at(path: &str, route: &str, settings: &str) -> Flow {
    let snapshot = Snapshot::default()
        .apply(&Change {
            routes: &[route.as_bytes()],
            settings: Some(settings.as_bytes()),
            ..Change::default()
        })
        .expect("valid");
    let fields: [(&[u8], &[u8]); 2] = [(b"host", b"a.b"), (b"accept", b"*/*")];
    let limits = HeadLimits::default();
    let request = Request::from_parts(
        b"GET",
        path.as_bytes(),
        fields.into_iter(),
        Version::Http11,
        &limits,
    )
    .expect("valid");
    let downstream = Downstream {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        secured: false,
        listener: Arc::from("standard-listener"),
        client_cert: None,
    };
    let response = ResponseHead::default();
    Flow::begin(
        1,
        request,
        response,
        downstream,
        Arc::new(snapshot),
        Moment::default(),
    )
}

const ANSWERED: &str = r#"{"id":"r","frontend":{"domains":["a.b"]},"steps":[
    {"phase":"pre_route","kind":"python","slot":4,"inline":true},
    {"phase":"call_backend","kind":"python","slot":5,"inline":false},
    {"phase":"transform_response","kind":"set_headers","headers":{"x-end":"1"}},
    {"phase":"done","kind":"python","slot":6,"inline":true}]}"#;

#[test]
fn hooks_run_in_order_and_an_answer_meets_the_response_steps() {
    let mut flow = begin(ANSWERED, "{}");
    assert_eq!(
        flow.advance(),
        Next::Python(PythonStep {
            slot: 4,
            inline: true
        })
    );
    assert_eq!(
        flow.advance(),
        Next::Python(PythonStep {
            slot: 5,
            inline: false
        })
    );
    let reply = Reply {
        status: 201,
        ..Reply::default()
    };
    assert_eq!(flow.respond(reply), Next::Reply);
    assert_eq!(flow.response.headers.find(b"x-end"), Some(&b"1"[..]));
    assert!(flow.begin_done());
    assert_eq!(
        flow.advance(),
        Next::Python(PythonStep {
            slot: 6,
            inline: true
        })
    );
    assert_eq!(flow.advance(), Next::Finished);
}

#[test]
fn an_early_answer_stands_as_it_is() {
    let mut flow = begin(ANSWERED, "{}");
    flow.advance();
    assert_eq!(
        flow.respond(Reply {
            status: 200,
            ..Reply::default()
        }),
        Next::Reply
    );
    assert_eq!(flow.response.headers.find(b"x-end"), None);
}

#[test]
fn no_route_hides_the_monitoring_pages() {
    let mut flow = begin_at("/.well-known/otoroshi/monitoring/live", ANSWERED, "{}");
    let slot = MONITORING_SLOT;
    assert_eq!(
        flow.advance(),
        Next::Python(PythonStep { slot, inline: true })
    );
}

#[test]
fn maintenance_closes_every_route() {
    let mut flow = begin(ANSWERED, r#"{"maintenance":true}"#);
    assert_eq!(flow.advance(), Next::Reply);
    assert_eq!(flow.response.status, 503);
}
