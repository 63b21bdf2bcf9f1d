//! The limits of the global configuration: `perIpThrottlingQuota` and `throttlingQuota`.
//!
//! They count in the same counters as the legacy checks, once an exchange whoever asks first.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::limits::Count;
use crate::plan::{Flow, Reply};

#[derive(Debug, Deserialize)]
pub(super) struct PerAddress {}

#[derive(Debug, Deserialize)]
pub(super) struct All {}

/// The step for one address.
#[derive(Debug)]
pub(super) struct ThrottleAddress;

/// The step for everybody.
#[derive(Debug)]
pub(super) struct ThrottleAll;

impl StepSettings for PerAddress {
    type Step = ThrottleAddress;

    fn build(self) -> Result<ThrottleAddress, String> {
        Ok(ThrottleAddress)
    }
}

impl StepSettings for All {
    type Step = ThrottleAll;

    fn build(self) -> Result<ThrottleAll, String> {
        Ok(ThrottleAll)
    }
}

impl NativeStep for ThrottleAddress {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        throttle_address(at.flow).map_or(Outcome::Continue, Outcome::Answer)
    }
}

impl NativeStep for ThrottleAll {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        throttle_all(at.flow).map_or(Outcome::Continue, Outcome::Answer)
    }
}

/// Count the call for its address; an answer refuses it.
pub(super) fn throttle_address(flow: &mut Flow) -> Option<Reply> {
    let count = flow.count_address()?;
    judge(
        flow,
        "address",
        count,
        "[IP] You performed too much requests",
    )
}

/// Count the call for everybody; an answer refuses it.
pub(super) fn throttle_all(flow: &mut Flow) -> Option<Reply> {
    let count = flow.count_all()?;
    judge(
        flow,
        "global",
        count,
        "[GLOBAL] You performed too much requests",
    )
}

fn judge(flow: &mut Flow, policy: &'static str, count: Count, message: &str) -> Option<Reply> {
    flow.tell_limit(policy, count);
    (!count.is_within())
        .then(|| flow.limit_refusal(429, message, "errors.too.much.requests", count.left_s()))
}
