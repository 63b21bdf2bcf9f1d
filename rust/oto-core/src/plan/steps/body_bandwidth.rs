//! Bound how fast a body passes, alone or with others of its group; of the request or the response, as
//! the phase has it. The engine keeps the bound while bytes move.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::Template;
use crate::limits::{MOST_IN_WINDOW, Space};
use crate::plan::step::Phase;
use crate::plan::{Flow, Rate, Share};

/// Otoroshi's defaults, for expressions that give no number too.
const WINDOW_MS: u64 = 60_000;
const WINDOW_BYTES: u64 = 10 << 20;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    window_millis: String,
    throttling_quota: String,
    fail: bool,
    group_expr: String,
    /// Whether the bodies of a group share the bound, among the workers of a machine.
    is_shared: bool,
}

/// The step.
#[derive(Debug)]
pub(super) struct BodyBandwidth {
    window_ms: Template,
    bytes: Template,
    fails: bool,
    /// Whose bodies share the bound; none when each has it for itself.
    group: Option<Template>,
}

impl StepSettings for Settings {
    type Step = BodyBandwidth;

    fn build(self) -> Result<BodyBandwidth, String> {
        let template = |field: &str, text: &str| {
            let template = Template::parse(text).map_err(|error| format!("{field}: {error}"))?;
            match template.literal() {
                Some(text) if number(text).is_none() => Err(format!(
                    "{field}: {text:?} is no whole number above 0; write one, or an expression"
                )),
                _ => Ok(template),
            }
        };
        Ok(BodyBandwidth {
            window_ms: template("window_millis", &self.window_millis)?,
            bytes: template("throttling_quota", &self.throttling_quota)?,
            fails: self.fail,
            group: self
                .is_shared
                .then(|| Template::parse(&self.group_expr))
                .transpose()
                .map_err(|error| format!("group_expr: {error}"))?,
        })
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|number| *number > 0)
}

/// Let a body pass within what its group shares; nothing passes of one that comes too late.
fn share(
    flow: &mut Flow,
    group: &Template,
    bytes: u64,
    window_ms: u64,
    is_response: bool,
) -> Outcome {
    let limits = &flow.snapshot.limits;
    let direction: &[u8] = if is_response { b"out" } else { b"in" };
    let group = group.counted(flow);
    let share = Share {
        key: limits.key(Space::Bandwidth, &[direction, group.as_bytes()]),
        // A counter ends there: a larger share would never be used up.
        bytes: bytes.min(u64::from(MOST_IN_WINDOW) - 1),
        window_ms,
    };
    if share.is_used_up(limits, flow.now()) {
        return Outcome::Answer(flow.refusal(413, "Bandwidth limit exceeded", ""));
    }
    if is_response {
        flow.bounds.response.share = Some(share);
    } else {
        flow.bounds.request.share = Some(share);
    }
    Outcome::Continue
}

impl NativeStep for BodyBandwidth {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let value =
            |template: &Template, default| number(&template.text(at.flow)).unwrap_or(default);
        let window_ms = value(&self.window_ms, WINDOW_MS);
        let bytes = value(&self.bytes, WINDOW_BYTES);
        let is_response = at.phase >= Phase::TransformResponse;
        if let Some(group) = &self.group {
            return share(at.flow, group, bytes, window_ms, is_response);
        }
        let rate = Some(Rate {
            bytes,
            window_s: window_ms as f64 / 1000.0,
            fails: self.fails,
        });
        if is_response {
            at.flow.bounds.response.rate = rate;
        } else {
            at.flow.bounds.request.rate = rate;
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({"window_millis": self.window_ms.source(), "throttling_quota": self.bytes.source()})
    }
}
