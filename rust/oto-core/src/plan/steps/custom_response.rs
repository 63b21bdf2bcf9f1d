//! The answer that a plugin may be told to give in place of its own refusal.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::http1::headers::{is_name, is_value};
use crate::plan::Reply;

/// Otoroshi's five `custom_response…` keys.
#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    custom_response: bool,
    #[serde(default = "unauthorized")]
    custom_response_status: u16,
    #[serde(default)]
    custom_response_headers: BTreeMap<String, String>,
    #[serde(default)]
    custom_response_body: String,
}

fn unauthorized() -> u16 {
    401
}

impl Settings {
    /// The answer; none when it is not wanted.
    ///
    /// # Errors
    /// Field, problem and fix.
    pub(super) fn build(self) -> Result<Option<Reply>, String> {
        if !self.custom_response {
            return Ok(None);
        }
        let status = self.custom_response_status;
        if !(200..=599).contains(&status) {
            return Err(format!(
                "custom_response_status: {status} cannot be sent; use 200 to 599"
            ));
        }
        let mut headers = Vec::with_capacity(self.custom_response_headers.len() + 1);
        let mut typed = false;
        for (name, value) in self.custom_response_headers {
            if !is_name(name.as_bytes()) || !value.is_ascii() || !is_value(value.as_bytes()) {
                return Err(format!(
                    "custom_response_headers.{name:?}: not a header; use a name of letters, digits and -, and ASCII text"
                ));
            }
            typed |= name.eq_ignore_ascii_case("content-type");
            headers.push((name.into_bytes(), value.into_bytes()));
        }
        if !typed {
            headers.push((b"Content-Type".to_vec(), b"application/json".to_vec()));
        }
        Ok(Some(Reply {
            status,
            headers,
            body: self.custom_response_body.into_bytes(),
        }))
    }
}
