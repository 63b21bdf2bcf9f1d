//! Take headers away.

use serde::Deserialize;
use serde_json::Value;

use super::fields::names;
use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    names: Vec<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct RemoveHeaders(Vec<Box<[u8]>>);

impl StepSettings for Settings {
    type Step = RemoveHeaders;

    fn build(self) -> Result<RemoveHeaders, String> {
        let names = self.names.into_iter();
        Ok(RemoveHeaders(
            names.map(|name| name.into_bytes().into()).collect(),
        ))
    }
}

impl NativeStep for RemoveHeaders {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        for name in &self.0 {
            at.flow.headers(at.phase).remove(name);
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        names(self.0.iter().map(|name| &**name))
    }
}
