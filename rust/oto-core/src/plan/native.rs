//! The native steps: what each does to a flow.

use super::flow::Flow;
use super::reply::Reply;
use super::step::{Phase, Route, Step};
use crate::http1::{Framing, Headers, Known};

impl Flow {
    /// Run one native step; a reply ends the request stage at once.
    pub(super) fn native(&mut self, route: &Route, phase: Phase, step: &Step) -> Option<Reply> {
        match step {
            Step::Redirect { code, to } => return Some(redirection(*code, to)),
            Step::ForceHttps { port } => {
                if self.secured {
                    return None;
                }
                let (domain, path) = (self.request.domain(), self.request.path());
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                let query = self
                    .request
                    .query()
                    .map(|query| format!("?{query}"))
                    .unwrap_or_default();
                return Some(redirection(
                    303,
                    format!("https://{domain}{port}{path}{query}").as_bytes(),
                ));
            }
            Step::Refuse {
                status,
                message,
                cause,
            } => {
                return Some(self.refusal(*status, message, cause));
            }
            Step::AllowMethods { allowed, forbidden } => {
                let method = self.request.method_text();
                let is_in =
                    |list: &[Box<str>]| list.iter().any(|item| item.eq_ignore_ascii_case(method));
                if allowed.as_ref().is_some_and(|list| !is_in(list)) || is_in(forbidden) {
                    return Some(self.refusal(
                        405,
                        "Method not allowed",
                        "errors.method.not.allowed",
                    ));
                }
            }
            Step::RequireHeaders(expected) => {
                let met = expected.iter().all(|(name, expectation)| {
                    self.request
                        .headers
                        .find(name)
                        .is_some_and(|value| expectation.accepts(value))
                });
                if !met {
                    return Some(self.refusal(400, "bad request", "errors.bad.request"));
                }
            }
            Step::SetHeaders(fields) => {
                for (name, value) in fields {
                    self.set_header(phase, name, value);
                }
            }
            Step::AddMissingHeaders(fields) => {
                for (name, value) in fields {
                    if self.headers(phase).find(name).is_none() {
                        self.set_header(phase, name, value);
                    }
                }
            }
            Step::RemoveHeaders(names) => {
                for name in names {
                    self.headers(phase).remove(name);
                }
            }
            Step::OverrideHost => self.host_overridden = true,
            Step::XForwarded => self.add_forwarded(route),
            Step::PrepareForBackend => {
                self.request
                    .headers
                    .remove_known(Known::is_removed_from_request);
                self.choose_target(route);
            }
            Step::Python { .. } => {}
        }
        None
    }

    pub(super) fn headers(&mut self, phase: Phase) -> &mut Headers {
        if phase >= Phase::TransformResponse {
            &mut self.response.headers
        } else {
            &mut self.request.headers
        }
    }

    /// Set a header of the request or the response, as the phase has it. A new `Host` takes back
    /// an earlier override.
    pub fn set_header(&mut self, phase: Phase, name: &[u8], value: &[u8]) {
        if phase < Phase::TransformResponse && name.eq_ignore_ascii_case(b"host") {
            self.host_overridden = false;
        }
        self.headers(phase).set(name, value);
    }

    /// Send another status; one that never has a body drops the body with it.
    pub fn set_status(&mut self, status: u16) {
        self.response.status = status;
        if matches!(status, 204 | 304) {
            self.response.framing = Framing::None;
            self.bodiless = true;
        }
    }

    pub(super) fn add_forwarded(&mut self, route: &Route) {
        let chain = self.forwarded_for();
        self.request.headers.set(b"X-Forwarded-For", &chain);
        let host = self.request.host().as_bytes().to_vec();
        self.request.headers.set(b"X-Forwarded-Host", &host);
        let proto: &[u8] = if self.secured { b"https" } else { b"http" };
        self.request.headers.set(b"X-Forwarded-Proto", proto);
        if route.strip_path && self.matched_len > 1 {
            let prefix = self
                .request
                .path()
                .as_bytes()
                .get(..self.matched_len)
                .unwrap_or(b"")
                .to_vec();
            self.request.headers.set(b"X-Forwarded-Prefix", &prefix);
        }
    }
}

fn redirection(status: u16, to: &[u8]) -> Reply {
    Reply {
        status,
        headers: vec![(b"Location".to_vec(), to.to_vec())],
        body: Vec::new(),
    }
}
