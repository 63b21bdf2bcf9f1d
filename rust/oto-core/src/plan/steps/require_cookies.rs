//! Refuse unless every named cookie has its value.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::fields::{Field, names};
use super::{At, NativeStep, Outcome, StepSettings};
use crate::http1::Headers;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    cookies: BTreeMap<String, String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct RequireCookies(Vec<Field>);

impl StepSettings for Settings {
    type Step = RequireCookies;

    fn build(self) -> Result<RequireCookies, String> {
        let cookies = self.cookies.into_iter();
        let bytes = |text: String| text.into_bytes().into_boxed_slice();
        Ok(RequireCookies(
            cookies
                .map(|(name, value)| (bytes(name), bytes(value)))
                .collect(),
        ))
    }
}

impl NativeStep for RequireCookies {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let headers = &at.flow.request.headers;
        if self.0.iter().all(|(name, value)| has(headers, name, value)) {
            return Outcome::Continue;
        }
        Outcome::Answer(at.flow.refusal(400, "bad request", ""))
    }

    fn explain(&self) -> Value {
        names(self.0.iter().map(|(name, _)| &**name))
    }
}

/// Whether a cookie is there and has this value. One that is sent twice must have it twice: nobody
/// knows which one the backend reads.
fn has(headers: &Headers, name: &[u8], value: &[u8]) -> bool {
    let mut found = false;
    for field in headers.find_all(b"cookie") {
        for pair in field.split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let (own, given) = pair.split_at(equals);
            if own.trim_ascii_end() == name {
                let given = given.get(1..).unwrap_or_default().trim_ascii_start();
                if unquoted(given) != value {
                    return false;
                }
                found = true;
            }
        }
    }
    found
}

fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value)
}
