//! Refuse whoever is not known: no user, or neither user nor API key.

use serde::Deserialize;
use serde_json::Value;

use super::{At, NativeStep, Outcome, StepSettings};

/// A user must be logged in.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    #[serde(default)]
    only_from: Vec<String>,
}

/// A user must be logged in, or an API key presented.
#[derive(Debug, Deserialize)]
pub(super) struct Consumer {}

/// The step.
#[derive(Debug)]
pub(super) struct Expected {
    only_from: Vec<String>,
    apikey_will_do: bool,
}

impl StepSettings for User {
    type Step = Expected;

    fn build(self) -> Result<Expected, String> {
        Ok(Expected {
            only_from: self.only_from,
            apikey_will_do: false,
        })
    }
}

impl StepSettings for Consumer {
    type Step = Expected;

    fn build(self) -> Result<Expected, String> {
        Ok(Expected {
            only_from: Vec::new(),
            apikey_will_do: true,
        })
    }
}

impl NativeStep for Expected {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let attrs = &at.flow.attrs;
        let is_known = (self.apikey_will_do && attrs.apikey.is_some())
            || attrs.user.as_ref().is_some_and(|user| {
                let module = user.get("authConfigId").and_then(Value::as_str);
                self.only_from.is_empty()
                    || module.is_some_and(|module| self.only_from.iter().any(|id| id == module))
            });
        if is_known {
            return Outcome::Continue;
        }
        let refusal = at.flow.refusal(
            401,
            "You're not authorized here !",
            "errors.auth.unauthorized",
        );
        Outcome::Answer(refusal)
    }
}
