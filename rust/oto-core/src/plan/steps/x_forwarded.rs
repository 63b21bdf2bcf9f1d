//! Tell the backend who asked for what, in `X-Forwarded-*`.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {}

/// The step.
#[derive(Debug)]
pub(super) struct XForwarded;

impl StepSettings for Settings {
    type Step = XForwarded;

    fn build(self) -> Result<XForwarded, String> {
        Ok(XForwarded)
    }
}

impl NativeStep for XForwarded {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let (flow, route) = (&mut *at.flow, at.route);
        let chain = flow.forwarded_for();
        flow.request.headers.set(b"X-Forwarded-For", &chain);
        let host = flow.request.host().as_bytes().to_vec();
        flow.request.headers.set(b"X-Forwarded-Host", &host);
        let proto: &[u8] = if flow.secured { b"https" } else { b"http" };
        flow.request.headers.set(b"X-Forwarded-Proto", proto);
        if route.strip_path && flow.matched_len > 1 {
            let prefix = flow
                .request
                .path()
                .as_bytes()
                .get(..flow.matched_len)
                .unwrap_or(b"")
                .to_vec();
            flow.request.headers.set(b"X-Forwarded-Prefix", &prefix);
        }
        Outcome::Continue
    }
}
