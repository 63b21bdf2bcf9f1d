//! Answer every request with an error.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    status: u16,
    message: String,
    #[serde(default)]
    cause: Option<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct Refuse {
    status: u16,
    message: Box<str>,
    cause: Box<str>,
}

impl StepSettings for Settings {
    type Step = Refuse;

    fn build(self) -> Result<Refuse, String> {
        let status = self.status;
        if !(400..=599).contains(&status) {
            return Err(format!("status: {status} is no error; use 400 to 599"));
        }
        Ok(Refuse {
            status,
            message: self.message.into(),
            cause: self.cause.unwrap_or_default().into(),
        })
    }
}

impl NativeStep for Refuse {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        Outcome::Answer(at.flow.refusal(self.status, &self.message, &self.cause))
    }

    fn explain(&self) -> Value {
        json!({"status": self.status, "message": self.message})
    }
}
