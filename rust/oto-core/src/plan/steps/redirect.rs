//! Answer every request with a redirection to one address.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings, redirection};
use crate::expression::HeaderTemplate;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    code: u16,
    to: String,
}

/// The step.
#[derive(Debug)]
pub(super) struct Redirect {
    code: u16,
    to: HeaderTemplate,
}

impl StepSettings for Settings {
    type Step = Redirect;

    fn build(self) -> Result<Redirect, String> {
        let Self { code, to } = self;
        if !matches!(code, 301 | 302 | 303 | 307 | 308) {
            return Err(format!(
                "code: {code} is no redirection; use 301, 302, 303, 307 or 308"
            ));
        }
        let to = HeaderTemplate::parse(&to).map_err(|problem| format!("to: {problem}"))?;
        Ok(Redirect { code, to })
    }
}

impl NativeStep for Redirect {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        Outcome::Answer(redirection(self.code, &self.to.value(at.flow)))
    }

    fn explain(&self) -> Value {
        json!({"code": self.code, "to": self.to.source()})
    }
}
