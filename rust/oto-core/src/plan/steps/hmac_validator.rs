//! Refuse a request that is not signed with the shared secret.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::plan::reply::Reply;
use crate::signature::hmac;

#[derive(Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    secret: Option<String>,
    #[serde(default, rename = "authorizationHeader")]
    authorization_header: Option<String>,
}

/// The step.
pub(super) struct HmacValidator {
    secret: Option<Box<str>>,
    authorization_header: Option<Box<str>>,
}

/// No secret is ever shown.
impl std::fmt::Debug for HmacValidator {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("HmacValidator")
    }
}

impl StepSettings for Settings {
    type Step = HmacValidator;

    fn build(self) -> Result<HmacValidator, String> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Into::into);
        Ok(HmacValidator {
            secret: given(self.secret),
            authorization_header: given(self.authorization_header),
        })
    }
}

impl NativeStep for HmacValidator {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let apikey = at.flow.attrs.apikey.as_deref();
        let secret = match (&self.secret, apikey) {
            (Some(secret), _) => secret,
            (None, Some(apikey)) => apikey.secret(),
            (None, None) => "",
        };
        let headers = &at.flow.request.headers;
        if hmac::verify(
            headers,
            self.authorization_header.as_deref(),
            secret.as_bytes(),
        ) {
            return Outcome::Continue;
        }
        // Every failure looks the same: nobody learns how near a guess was.
        Outcome::Answer(Reply {
            status: 400,
            ..Reply::default()
        })
    }
}
