//! Answer every request with a redirection to one address.

use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::latin1;
use super::{At, NativeStep, Outcome, StepSettings, redirection};
use crate::http1::headers::is_value;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    code: u16,
    to: String,
}

/// The step.
#[derive(Debug)]
pub(super) struct Redirect {
    code: u16,
    to: Box<[u8]>,
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
        let to = latin1(&to)
            .filter(|to| is_value(to))
            .ok_or("to: must be text that a header can carry; escape other characters")?;
        Ok(Redirect {
            code,
            to: to.into(),
        })
    }
}

impl NativeStep for Redirect {
    fn run(&self, _at: &mut At<'_>) -> Outcome {
        Outcome::Answer(redirection(self.code, &self.to))
    }

    fn explain(&self) -> Value {
        json!({"code": self.code, "to": String::from_utf8_lossy(&self.to)})
    }
}
