//! Answer in the backend's place when a request tries Log4Shell.
//!
//! Bodies are read in Python, when they are to be searched at all.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::access::payloads::has_jndi_lookup;
use crate::plan::reply::Reply;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    status: u16,
    body: String,
    parse_body: bool,
}

/// The step.
#[derive(Debug)]
pub(super) struct Log4Shell {
    status: u16,
    body: Box<[u8]>,
    parse_body: bool,
}

impl StepSettings for Settings {
    type Step = Log4Shell;

    fn build(self) -> Result<Log4Shell, String> {
        let status = self.status;
        if !(200..=599).contains(&status) {
            return Err(format!("status: {status} ends no request; use 200 to 599"));
        }
        Ok(Log4Shell {
            status,
            body: self.body.into_bytes().into(),
            parse_body: self.parse_body,
        })
    }
}

impl NativeStep for Log4Shell {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let request = &at.flow.request;
        let attacks = has_jndi_lookup(request.path().as_bytes())
            || request
                .query()
                .is_some_and(|query| has_jndi_lookup(query.as_bytes()))
            || has_jndi_lookup(request.method_text().as_bytes())
            || request
                .headers
                .iter()
                .any(|(_, value, _)| has_jndi_lookup(value));
        if attacks {
            return Outcome::Answer(Reply {
                status: self.status,
                headers: vec![(b"Content-Type".to_vec(), b"text/plain".to_vec())],
                body: self.body.to_vec(),
            });
        }
        if self.parse_body && request.has_body() {
            return Outcome::Python;
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({"status": self.status, "parse_body": self.parse_body})
    }
}
