//! Look for React2Shell in the bodies of POST requests: everything else passes without Python.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {}

/// The step.
#[derive(Debug)]
pub(super) struct React2Shell;

impl StepSettings for Settings {
    type Step = React2Shell;

    fn build(self) -> Result<React2Shell, String> {
        Ok(React2Shell)
    }
}

impl NativeStep for React2Shell {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let request = &at.flow.request;
        if request.method_text().eq_ignore_ascii_case("POST") && request.has_body() {
            return Outcome::Python;
        }
        Outcome::Continue
    }
}
