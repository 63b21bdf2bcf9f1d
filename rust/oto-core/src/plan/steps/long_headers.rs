//! Drop, or cut, header fields whose value is too long; of the request or the response, as the phase
//! has it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::http1::Known;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    value: usize,
    cut: bool,
}

/// The step.
#[derive(Debug)]
pub(super) struct LongHeaders {
    limit_bytes: usize,
    cut: bool,
}

impl StepSettings for Settings {
    type Step = LongHeaders;

    fn build(self) -> Result<LongHeaders, String> {
        Ok(LongHeaders {
            limit_bytes: self.value,
            cut: self.cut,
        })
    }
}

impl NativeStep for LongHeaders {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let headers = at.flow.headers(at.phase);
        let is_long = |(_, value, known): &(&[u8], &[u8], Known)| {
            value.len() > self.limit_bytes && !is_framing(*known)
        };
        let mut names: Vec<Vec<u8>> = Vec::new();
        for (name, _, _) in headers.iter().filter(is_long) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.to_vec());
            }
        }
        for name in names {
            self.shorten(at, &name);
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({"value": self.limit_bytes, "cut": self.cut})
    }
}

impl LongHeaders {
    /// Replace the values of one field, and tell.
    fn shorten(&self, at: &mut At<'_>, name: &[u8]) {
        let headers = at.flow.headers(at.phase);
        let values: Vec<Vec<u8>> = headers.find_all(name).map(<[u8]>::to_vec).collect();
        headers.remove(name);
        let mut longest = 0;
        for mut value in values {
            longest = longest.max(value.len());
            if value.len() > self.limit_bytes {
                if !self.cut {
                    continue;
                }
                value.truncate(self.limit_bytes.saturating_sub(1));
            }
            headers.add(name, value.trim_ascii_end());
        }
        let fields = json!({
            "header": String::from_utf8_lossy(name),
            "length": longest,
            "max": self.limit_bytes,
            "removed": !self.cut,
        });
        at.flow.attrs.alert("HeaderTooLongAlert", fields);
    }
}

/// Fields the engine writes itself.
fn is_framing(known: Known) -> bool {
    matches!(
        known,
        Known::Connection | Known::ContentLength | Known::TransferEncoding
    )
}
