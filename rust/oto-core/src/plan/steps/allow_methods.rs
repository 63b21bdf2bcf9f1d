//! Let only some methods through.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    allowed: Option<Vec<String>>,
    #[serde(default)]
    forbidden: Vec<String>,
}

/// The step: lists in upper case; no `allowed` means all.
#[derive(Debug)]
pub(super) struct AllowMethods {
    allowed: Option<Vec<Box<str>>>,
    forbidden: Vec<Box<str>>,
}

impl StepSettings for Settings {
    type Step = AllowMethods;

    fn build(self) -> Result<AllowMethods, String> {
        let upper = |list: Vec<String>| -> Vec<Box<str>> {
            list.into_iter()
                .map(|method| method.to_ascii_uppercase().into())
                .collect()
        };
        Ok(AllowMethods {
            allowed: self.allowed.map(upper),
            forbidden: upper(self.forbidden),
        })
    }
}

impl NativeStep for AllowMethods {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let method = at.flow.request.method_text();
        let is_in = |list: &[Box<str>]| list.iter().any(|item| item.eq_ignore_ascii_case(method));
        if self.allowed.as_ref().is_none_or(|list| is_in(list)) && !is_in(&self.forbidden) {
            return Outcome::Continue;
        }
        let refusal = at
            .flow
            .refusal(405, "Method not allowed", "errors.method.not.allowed");
        Outcome::Answer(refusal)
    }

    fn explain(&self) -> Value {
        json!({"allowed": self.allowed, "forbidden": self.forbidden})
    }
}
