//! Put headers in place.

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
pub(super) struct SetHeaders(Vec<FieldTemplate>);

impl StepSettings for Settings {
    type Step = SetHeaders;

    fn build(self) -> Result<SetHeaders, String> {
        fields(self.headers).map(SetHeaders)
    }
}

impl NativeStep for SetHeaders {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        for (name, value) in &self.0 {
            let value = value.value(at.flow);
            at.flow.set_header(at.phase, name, &value);
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        names(self.0.iter().map(|(name, _)| &**name))
    }
}
