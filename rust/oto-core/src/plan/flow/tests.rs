//! How a flow goes on.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use super::super::reply::Reply;
use super::super::snapshot::Change;
use super::*;
use crate::http1::{HeadLimits, Version};

fn begin(route: &str, settings: &str) -> Flow {
    begin_at("/", route, settings)
}

fn begin_at(path: &str, route: &str, settings: &str) -> Flow {
    begin_with(path, &[], route, settings)
}

fn begin_with(path: &str, more: &[(&[u8], &[u8])], route: &str, settings: &str) -> Flow {
    let snapshot = Snapshot::default()
        .apply(&Change {
            routes: &[route.as_bytes()],
            settings: Some(settings.as_bytes()),
            ..Change::default()
        })
        .expect("valid");
    let fields: [(&[u8], &[u8]); 2] = [(b"host", b"a.b"), (b"accept", b"*/*")];
    let fields = fields.iter().chain(more).copied();
    let limits = HeadLimits::default();
    let request = Request::from_parts(b"GET", path.as_bytes(), fields, Version::Http11, &limits)
        .expect("valid");
    let downstream = Downstream {
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
        secured: false,
        listener: Arc::from("standard-listener"),
        is_exclusive: false,
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

/// A client that claims to be somebody does so where the step that would say it does not run.
#[test]
fn what_the_gateway_says_of_a_caller_no_client_says_for_it() {
    let algo = json!({"type": "HSAlgoSettings", "size": 256, "secret": "s".repeat(32)});
    let profile = json!({"send": true, "headerName": "X-Profile"});
    let no_token = json!({"send": false, "name": "", "headerName": "", "jwt": false});
    let mut steps = vec![
        json!({"kind": "otoroshi_infos", "version": "Latest", "ttl": 30, "header_name": "X-Who",
            "algo": algo}),
        json!({"kind": "otoroshi_infos", "version": "Latest", "ttl": 30,
            "header_name": "Authorization", "algo": algo}),
        json!({"kind": "oidc_headers", "profile": profile, "idToken": no_token,
            "accessToken": no_token}),
        json!({"kind": "otoroshi_challenge", "version": "V1", "ttl": 30, "algo_to_backend": null,
            "request_header_name": "X-State", "algo_from_backend": null, "state_resp_leeway": 10}),
        json!({"kind": "client_cert_chain", "send_pem": true, "pem_header_name": "X-Pem",
            "send_dns": false, "dns_header_name": "", "send_chain": false,
            "chain_header_name": ""}),
        json!({"kind": "rfc9440_client_cert", "send_chain": true}),
        json!({"kind": "otoroshi_headers_in"}),
    ];
    for step in &mut steps {
        step["phase"] = "transform_request".into();
        step["exclude"] = json!(["/open"]);
    }
    let route = json!({"id": "r", "frontend": {"domains": ["a.b"]}, "steps": steps}).to_string();
    let claimed: [&[u8]; 9] = [
        b"x-who",
        b"X_Who",
        b"x-profile",
        b"X-STATE",
        b"x-pem",
        b"client-cert",
        b"client_cert_chain",
        b"otoroshi-proxied-host",
        b"otoroshi-request-timestamp",
    ];
    let kept: [&[u8]; 2] = [b"authorization", b"x-whom"];
    let more = claimed
        .iter()
        .chain(&kept)
        .map(|name| (*name, &b"admin"[..]));
    let more: Vec<_> = more.collect();
    let mut flow = begin_with("/open", &more, &route, "{}");
    assert_eq!(flow.advance(), Next::Forward);
    for name in claimed {
        let name_told = String::from_utf8_lossy(name);
        assert_eq!(flow.request.headers.find(name), None, "{name_told}");
    }
    for name in kept {
        assert_eq!(flow.request.headers.find(name), Some(&b"admin"[..]));
    }
}
