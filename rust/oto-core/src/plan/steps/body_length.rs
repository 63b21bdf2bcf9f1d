//! Bound the length of a body; of the request or the response, as the phase has it.
//!
//! What says that it is too long is refused here. The engine counts the bytes of every other body as they
//! pass, and drops what is too much or breaks off.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::http1::Framing;
use crate::plan::step::Phase;

/// Otoroshi's bound when the config names none.
const DEFAULT_BYTES: u64 = 4 << 20;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    max_length: Option<u64>,
    fail: bool,
}

/// The step.
#[derive(Debug)]
pub(super) struct BodyLength {
    max_bytes: u64,
    fail: bool,
}

impl StepSettings for Settings {
    type Step = BodyLength;

    fn build(self) -> Result<BodyLength, String> {
        Ok(BodyLength {
            max_bytes: self.max_length.unwrap_or(DEFAULT_BYTES),
            fail: self.fail,
        })
    }
}

impl NativeStep for BodyLength {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let is_response = at.phase >= Phase::TransformResponse;
        let (framing, announced) = if is_response {
            let response = &at.flow.response;
            (response.framing, response.announced_length)
        } else {
            (at.flow.request.framing, None)
        };
        let announced = match framing {
            Framing::Length(length) => Some(length),
            _ => announced,
        };
        if self.fail && announced.is_some_and(|length| length > self.max_bytes) {
            let refusal = at.flow.refusal(
                413,
                "Response entity too large",
                "errors.failed.response.entityTooLarge",
            );
            return Outcome::Answer(refusal);
        }
        if is_response && at.flow.cut_body(self.max_bytes) {
            return Outcome::Continue;
        }
        let bound = if is_response {
            &mut at.flow.bounds.response
        } else {
            &mut at.flow.bounds.request
        };
        // Of two limiters on one route the stricter one counts.
        if self.max_bytes < bound.bytes {
            bound.bytes = self.max_bytes;
            bound.truncates = !self.fail;
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({"max_length": self.max_bytes, "fail": self.fail})
    }
}
