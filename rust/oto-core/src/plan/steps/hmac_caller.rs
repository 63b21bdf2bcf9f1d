//! Sign the backend's request with a shared secret.

use serde::Deserialize;
use serde_json::json;

use super::fields::header_name;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::plan::reply::Reply;
use crate::signature::hmac::{self, HmacAlgorithm};

#[derive(Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    secret: Option<String>,
    algo: String,
    #[serde(default, rename = "authorizationHeader")]
    authorization_header: Option<String>,
}

/// The step.
pub(super) struct HmacCaller {
    secret: Box<str>,
    algorithm: HmacAlgorithm,
    authorization_header: Box<str>,
}

/// No secret is ever shown.
impl std::fmt::Debug for HmacCaller {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "HmacCaller({})", self.authorization_header)
    }
}

impl StepSettings for Settings {
    type Step = HmacCaller;

    fn build(self) -> Result<HmacCaller, String> {
        let Some(algorithm) = HmacAlgorithm::named(&self.algo) else {
            return Err(format!(
                "algo: {:?} is unknown; use HMAC-SHA1, HMAC-SHA256, HMAC-SHA384 or HMAC-SHA512",
                self.algo
            ));
        };
        Ok(HmacCaller {
            secret: self.secret.unwrap_or_default().into(),
            algorithm,
            authorization_header: header_name(
                "authorizationHeader",
                self.authorization_header.as_deref(),
                "Authorization",
            )?,
        })
    }
}

impl NativeStep for HmacCaller {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if self.secret.is_empty() {
            return Outcome::Answer(Reply::json(400, &json!({"error": "Bad parameters"})));
        }
        let unix_ms = (at.flow.moment.unix_s * 1000.0) as u64;
        let (date, credentials) = hmac::sign_date(self.algorithm, self.secret.as_bytes(), unix_ms);
        let headers = &mut at.flow.request.headers;
        headers.set(b"Date", date.as_bytes());
        headers.set(self.authorization_header.as_bytes(), credentials.as_bytes());
        Outcome::Continue
    }
}
