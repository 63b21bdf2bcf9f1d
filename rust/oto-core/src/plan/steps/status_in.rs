//! Leave the answers of certain statuses to the plugin's hook; all others pass without Python.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    ranges: Vec<(u16, u16)>,
}

/// The step: first and last of each range.
#[derive(Debug)]
pub(super) struct StatusIn(Vec<(u16, u16)>);

impl StepSettings for Settings {
    type Step = StatusIn;

    fn build(self) -> Result<StatusIn, String> {
        Ok(StatusIn(self.ranges))
    }
}

impl NativeStep for StatusIn {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let status = at.flow.response.status;
        let is_in = |(first, last): &(u16, u16)| (*first..=*last).contains(&status);
        if self.0.iter().any(is_in) {
            return Outcome::Python;
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!(self.0)
    }
}
