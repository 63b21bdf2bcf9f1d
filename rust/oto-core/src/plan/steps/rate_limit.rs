//! Rate limits by a strategy: token bucket, fixed window, or window, day and month.

use serde::de::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::Template;
use crate::limits::Strategy;
use crate::plan::Flow;

/// The strategy's own JSON, told apart by `id`.
#[derive(Debug)]
pub(super) struct Settings(Value);

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(Self)
    }
}

/// The step.
#[derive(Debug)]
pub(super) struct RateLimit {
    strategy: Strategy,
    key: Template,
}

impl StepSettings for Settings {
    type Step = RateLimit;

    fn build(self) -> Result<RateLimit, String> {
        let strategy = Strategy::read(self.0)?;
        let key = Template::parse(strategy.bucket_key())
            .map_err(|problem| format!("bucketKey: {problem}"))?;
        Ok(RateLimit { strategy, key })
    }
}

impl NativeStep for RateLimit {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let key = self.key.counted(at.flow);
        let usage = at
            .flow
            .snapshot
            .limits
            .consume(&self.strategy, &key, at.flow.now());
        at.flow.tell_usage(&usage);
        match usage.retry_after_s() {
            Some(after_s) => {
                let reply = at.flow.limit_refusal(429, "Too much requests", "", after_s);
                Outcome::Answer(reply)
            }
            None => Outcome::Continue,
        }
    }

    fn foresee(&self, flow: &Flow) {
        let limits = &flow.snapshot.limits;
        limits.foresee(&self.strategy, &self.key.counted(flow));
    }

    fn explain(&self) -> Value {
        json!({"key": self.key.source(), "strategy": format!("{:?}", self.strategy)})
    }
}
