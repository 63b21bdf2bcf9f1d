//! Refuse unless every named header is there, and each of its values as expected.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::expectation::Expected;
use super::fields::names;
use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    headers: BTreeMap<String, String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct RequireHeaders(Vec<(Box<[u8]>, Expected)>);

impl StepSettings for Settings {
    type Step = RequireHeaders;

    fn build(self) -> Result<RequireHeaders, String> {
        let expected = self.headers.into_iter().map(|(name, text)| {
            let expectation =
                Expected::parse(&text).map_err(|problem| format!("headers.{name}: {problem}"))?;
            Ok((name.into_bytes().into(), expectation))
        });
        Ok(RequireHeaders(expected.collect::<Result<_, String>>()?))
    }
}

impl NativeStep for RequireHeaders {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &*at.flow;
        let headers = &flow.request.headers;
        let met = self.0.iter().all(|(name, expectation)| {
            let mut values = headers.find_all(name).peekable();
            values.peek().is_some() && values.all(|value| expectation.accepts(value, flow))
        });
        if met {
            return Outcome::Continue;
        }
        Outcome::Answer(at.flow.refusal(400, "bad request", "errors.bad.request"))
    }

    fn explain(&self) -> Value {
        names(self.0.iter().map(|(name, _)| &**name))
    }
}
