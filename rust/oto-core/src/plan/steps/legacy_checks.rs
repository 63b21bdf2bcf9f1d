//! What the global configuration keeps out of every route: `ipFiltering`.
//!
//! The compiler puts this step behind a route's own access steps, unless the route's metadata
//! `otoroshi-core-apply-legacy-checks` says `false`. The lists are in the snapshot's settings, so that a
//! change of them compiles no route again.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {}

/// The step.
#[derive(Debug)]
pub(super) struct LegacyChecks;

impl StepSettings for Settings {
    type Step = LegacyChecks;

    fn build(self) -> Result<LegacyChecks, String> {
        Ok(LegacyChecks)
    }
}

impl NativeStep for LegacyChecks {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let settings = &at.flow.snapshot.settings;
        let is_let_in = settings.ip_allowed.is_empty() || at.flow.comes_from(&settings.ip_allowed);
        if is_let_in && !at.flow.comes_from(&settings.ip_blocked) {
            return Outcome::Continue;
        }
        Outcome::Answer(at.flow.address_refusal())
    }
}
