//! Check the request's token with verifiers, and give the backend its own (`JwtVerification`).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings, custom_response};
use crate::jwt::Verdict;
use crate::plan::{Phase, Reply};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    verifiers: Vec<String>,
    #[serde(flatten)]
    custom: custom_response::Settings,
}

/// The step: it checks in the access phase and edits the request when that is transformed.
#[derive(Debug)]
pub(super) struct JwtVerification {
    verifiers: Vec<Box<str>>,
    custom: Option<Reply>,
}

impl StepSettings for Settings {
    type Step = JwtVerification;

    fn build(self) -> Result<JwtVerification, String> {
        Ok(JwtVerification {
            verifiers: self.verifiers.into_iter().map(Into::into).collect(),
            custom: self.custom.build()?,
        })
    }
}

impl NativeStep for JwtVerification {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.phase == Phase::TransformRequest {
            if let Some(injection) = at.flow.attrs.injection.take() {
                injection.apply(at.flow);
            }
            return Outcome::Continue;
        }
        // The snapshot outlives the step; verifiers are looked up without a copy.
        let snapshot = Arc::clone(&at.flow.snapshot);
        let mut last = None;
        for id in &self.verifiers {
            let verdict = match snapshot.tables.verifiers.get(id) {
                Some(verifier) => verifier.decide(at.flow),
                None => Verdict::Refuse(500, "error.bad.globaljwtverifier.id"),
            };
            match verdict {
                Verdict::Accept => return Outcome::Continue,
                Verdict::Refuse(status, message) => last = Some((status, message)),
                Verdict::Fetch(settings) => {
                    at.flow.attrs.wanted_key_set = Some(settings);
                    return Outcome::Python;
                }
            }
        }
        let Some((status, message)) = last else {
            return Outcome::Answer(bad_request());
        };
        Outcome::Answer(refusal(at, self.custom.as_ref(), status, message))
    }

    fn explain(&self) -> Value {
        json!({ "verifiers": self.verifiers })
    }
}

/// The custom answer, or the gateway's.
pub(super) fn refusal(
    at: &mut At<'_>,
    custom: Option<&Reply>,
    status: u16,
    message: &str,
) -> Reply {
    let own = at.flow.refusal(status, message, "");
    custom.cloned().unwrap_or(own)
}

/// What Otoroshi says of a plugin whose settings name no verifier.
pub(super) fn bad_request() -> Reply {
    Reply::json(400, &json!({"error": "bad request"}))
}
