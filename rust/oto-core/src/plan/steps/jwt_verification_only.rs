//! Check the request's token with one verifier (`JwtVerificationOnly`).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::jwt_verification::{bad_request, refusal};
use super::{At, NativeStep, Outcome, StepSettings, custom_response};
use crate::jwt::Verdict;
use crate::plan::Reply;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    verifier: Option<String>,
    #[serde(default = "yes")]
    fail_if_absent: bool,
    #[serde(flatten)]
    custom: custom_response::Settings,
}

fn yes() -> bool {
    true
}

/// The step.
#[derive(Debug)]
pub(super) struct JwtVerificationOnly {
    verifier: Box<str>,
    fail_if_absent: bool,
    custom: Option<Reply>,
}

impl StepSettings for Settings {
    type Step = JwtVerificationOnly;

    fn build(self) -> Result<JwtVerificationOnly, String> {
        Ok(JwtVerificationOnly {
            verifier: self.verifier.unwrap_or_default().into(),
            fail_if_absent: self.fail_if_absent,
            custom: self.custom.build()?,
        })
    }
}

impl NativeStep for JwtVerificationOnly {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let snapshot = Arc::clone(&at.flow.snapshot);
        let Some(verifier) = snapshot.tables.verifiers.get(&self.verifier) else {
            return Outcome::Answer(bad_request());
        };
        if !self.fail_if_absent && !verifier.is_present(at.flow) {
            return Outcome::Continue;
        }
        match verifier.decide(at.flow) {
            Verdict::Accept => Outcome::Continue,
            Verdict::Refuse(status, message) => {
                Outcome::Answer(refusal(at, self.custom.as_ref(), status, message))
            }
            Verdict::Fetch(settings) => {
                at.flow.attrs.wanted_key_set = Some(settings);
                Outcome::Python
            }
        }
    }

    fn explain(&self) -> Value {
        json!({ "verifier": self.verifier })
    }
}
