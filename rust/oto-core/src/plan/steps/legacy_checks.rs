//! What the global configuration keeps out of every route: too many calls (`perIpThrottlingQuota`,
//! `throttlingQuota`) and addresses (`ipFiltering`, `endlessIpAddresses`).
//!
//! The compiler puts this step behind a route's own access steps, unless the route's metadata
//! `otoroshi-core-apply-legacy-checks` says `false`; no plugin lowers itself to it. The lists are in the
//! snapshot's settings, so that a change of them compiles no route again.

use super::endless;
use super::global_throttling::{throttle_address, throttle_all};
use super::{At, NativeStep, Outcome};

/// The step.
#[derive(Debug)]
pub(in super::super) struct LegacyChecks;

impl LegacyChecks {
    /// Its name in explanations.
    pub(in super::super) const KIND: &'static str = "legacy_checks";
}

impl NativeStep for LegacyChecks {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let throttled = throttle_address(at.flow).or_else(|| throttle_all(at.flow));
        if let Some(reply) = throttled {
            return Outcome::Answer(reply);
        }
        let settings = &at.flow.snapshot.settings;
        let is_let_in = settings.ip_allowed.is_empty() || at.flow.comes_from(&settings.ip_allowed);
        if !is_let_in || at.flow.comes_from(&settings.ip_blocked) {
            return Outcome::Answer(at.flow.address_refusal());
        }
        if at.flow.comes_from(&settings.ip_endless) {
            return endless::answer(settings.middle_fingers, false);
        }
        Outcome::Continue
    }
}
