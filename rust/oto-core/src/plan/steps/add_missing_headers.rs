//! Put headers that are absent.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::fields::{FieldTemplate, fields, names};
use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    headers: BTreeMap<String, String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct AddMissingHeaders(Vec<FieldTemplate>);

impl StepSettings for Settings {
    type Step = AddMissingHeaders;

    fn build(self) -> Result<AddMissingHeaders, String> {
        fields(self.headers).map(AddMissingHeaders)
    }
}

impl NativeStep for AddMissingHeaders {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        for (name, value) in &self.0 {
            if at.flow.headers(at.phase).find(name).is_none() {
                let value = value.value(at.flow);
                at.flow.set_header(at.phase, name, &value);
            }
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        names(self.0.iter().map(|(name, _)| &**name))
    }
}
