//! Send the target's host name as `Host`.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {}

/// The step.
#[derive(Debug)]
pub(super) struct OverrideHost;

impl StepSettings for Settings {
    type Step = OverrideHost;

    fn build(self) -> Result<OverrideHost, String> {
        Ok(OverrideHost)
    }
}

impl NativeStep for OverrideHost {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        at.flow.host_overridden = true;
        Outcome::Continue
    }
}
