//! Count a call of the key that another plugin found; never refuses (`ApikeyQuotas`).

use std::sync::Arc;

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {}

/// The step.
#[derive(Debug)]
pub(super) struct ApikeyQuotas;

impl StepSettings for Settings {
    type Step = ApikeyQuotas;

    fn build(self) -> Result<ApikeyQuotas, String> {
        Ok(ApikeyQuotas)
    }
}

impl NativeStep for ApikeyQuotas {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if let Some(key) = at.flow.attrs.apikey.as_ref().map(Arc::clone) {
            at.flow.count_call(&key, true);
        }
        Outcome::Continue
    }
}
