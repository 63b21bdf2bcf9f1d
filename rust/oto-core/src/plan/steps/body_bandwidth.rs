//! Bound how fast a body passes; of the request or the response, as the phase has it. The engine keeps
//! the bound while bytes move.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::Template;
use crate::plan::Rate;
use crate::plan::step::Phase;

/// Otoroshi's defaults, for expressions that give no number too.
const WINDOW_MS: u64 = 60_000;
const WINDOW_BYTES: u64 = 10 << 20;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    window_millis: String,
    throttling_quota: String,
    fail: bool,
}

/// The step.
#[derive(Debug)]
pub(super) struct BodyBandwidth {
    window_ms: Template,
    bytes: Template,
    fails: bool,
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
        })
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|number| *number > 0)
}

impl NativeStep for BodyBandwidth {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let value =
            |template: &Template, default| number(&template.text(at.flow)).unwrap_or(default);
        let window_ms = value(&self.window_ms, WINDOW_MS);
        let bytes = value(&self.bytes, WINDOW_BYTES);
        let rate = Some(Rate {
            bytes,
            window_s: window_ms as f64 / 1000.0,
            fails: self.fails,
        });
        if at.phase >= Phase::TransformResponse {
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
