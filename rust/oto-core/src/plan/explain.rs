//! Why a request is treated as it is: the canonical request, the choice of a route, each step of
//! its plan and where it would be sent. For people, not for traffic.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::{Value, json};

use super::facts::Facts;
use super::flow::{Downstream, Flow};
use super::moment::Moment;
use super::snapshot::Snapshot;
use super::step::{PlanStep, Route, Step};
use crate::http1::request::HeadError;
use crate::http1::{HeadLimits, Request, ResponseHead, Version};

/// A request to explain.
#[derive(Debug)]
pub struct Question<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query as a client would send them.
    pub target: &'a str,
    /// Header fields, `Host` among them.
    pub headers: &'a [(String, String)],
    /// Whether it comes over TLS.
    pub secured: bool,
    /// The listener's id.
    pub listener: &'a str,
    /// Whether the listener serves only routes that are bound to it.
    pub exclusive: bool,
}

impl Snapshot {
    /// Explain one request as JSON: `request`, `routing`, and for a matched route `route`, `plan`,
    /// `target` and `upstream`.
    ///
    /// # Errors
    /// [`HeadError`] when the engine would refuse the head itself.
    pub fn explain(self: &Arc<Self>, question: &Question<'_>) -> Result<Value, HeadError> {
        let mut request = Request::from_parts(
            question.method.as_bytes(),
            question.target.as_bytes(),
            question
                .headers
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            Version::Http11,
            &HeadLimits::default(),
        )?;
        if self.settings.trust_x_forwarded {
            request.trust_forwarded_host();
        }
        let listener = question.listener;
        let facts = Facts {
            request: &request,
            listener,
            is_exclusive: question.exclusive,
        };
        let routing = self.router.explain(&facts, &mut |_: &Route| true);
        let mut answer = json!({
            "request": {
                "method": request.method_text(), "host": request.host(), "domain": request.domain(),
                "path": request.path(), "query": request.query(), "secured": question.secured,
            },
            "routing": routing,
        });
        let downstream = Downstream {
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
            secured: question.secured,
            listener: Arc::from(listener),
            is_exclusive: question.exclusive,
            client_cert: None,
        };
        let mut flow = Flow::begin(
            0,
            request,
            ResponseHead::default(),
            downstream,
            Arc::clone(self),
            Moment::default(),
        );
        let Some(route) = flow.route.clone() else {
            return Ok(answer);
        };
        flow.choose_first();
        let mut target = Vec::new();
        flow.upstream_target(&mut target);
        let overrides = route.plan.steps.iter().any(|step| {
            matches!(
                step.step,
                Step::Native {
                    kind: "override_host",
                    ..
                }
            )
        });
        let host = match flow.target() {
            Some(target) if overrides => target.hostname.to_string(),
            _ => String::from_utf8_lossy(flow.upstream_host()).into_owned(),
        };
        let path = flow.request.path();
        answer["route"] = json!({"id": &*route.id, "name": route.name});
        answer["plan"] = route
            .plan
            .steps
            .iter()
            .map(|step| describe(step, path, listener))
            .collect();
        answer["target"] = flow.target().map_or(
            Value::Null,
            |target| json!({"id": &*target.id, "address": &*target.address, "tls": target.tls.is_some()}),
        );
        answer["upstream"] = json!({
            "method": flow.request.method_text(),
            "target": String::from_utf8_lossy(&target),
            "host": host,
        });
        Ok(answer)
    }
}

fn describe(step: &PlanStep, path: &str, listener: &str) -> Value {
    let runs = step
        .gate
        .as_ref()
        .is_none_or(|gate| gate.passes(path, listener));
    let (kind, detail) = match &step.step {
        Step::Native { kind, step } => (*kind, step.explain()),
        Step::Python(hook) => ("python", json!({"inline": hook.inline})),
    };
    json!({
        "phase": step.phase, "plugin": step.plugin, "kind": kind, "detail": detail, "runs": runs,
        "native": matches!(step.step, Step::Native { .. }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Change;
    use super::*;

    #[test]
    fn a_request_is_explained() {
        let route = br#"{"id":"r1","name":"users","frontend":{"domains":["api.a/users"]},
            "backend":{"targets":[{"hostname":"b.c","port":8080}],"root":"/v1"},
            "steps":[{"phase":"access","plugin":"p","kind":"allow_methods","allowed":["GET"]},
                     {"phase":"transform_request","plugin":"o","kind":"override_host"}]}"#;
        let snapshot = Snapshot::default()
            .apply(&Change {
                routes: &[route],
                ..Change::default()
            })
            .expect("valid");
        let headers = [("host".to_owned(), "api.a".to_owned())];
        let question = Question {
            method: "GET",
            target: "/users//7?x=1",
            headers: &headers,
            secured: false,
            listener: "standard-listener",
            exclusive: false,
        };
        let answer = Arc::new(snapshot).explain(&question).expect("valid");
        assert_eq!(answer["route"]["id"], "r1");
        assert_eq!(answer["upstream"]["target"], "/v1/7?x=1");
        assert_eq!(answer["upstream"]["host"], "b.c");
        assert_eq!(answer["plan"][0]["kind"], "allow_methods");
        assert_eq!(answer["target"]["address"], "b.c:8080");
    }
}
