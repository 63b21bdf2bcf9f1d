//! Refuse HTTP/1.0.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::http1::Version;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {}

/// The step.
#[derive(Debug)]
pub(super) struct DisableHttp10;

impl StepSettings for Settings {
    type Step = DisableHttp10;

    fn build(self) -> Result<DisableHttp10, String> {
        Ok(DisableHttp10)
    }
}

impl NativeStep for DisableHttp10 {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.flow.request.version != Version::Http10 {
            return Outcome::Continue;
        }
        let refusal = at
            .flow
            .refusal(503, "HTTP/1.0 not allowed", "errors.http.1_0.not.allowed");
        Outcome::Answer(refusal)
    }
}
