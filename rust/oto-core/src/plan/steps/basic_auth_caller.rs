//! Send the backend a user name and a password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::fields::{formatted, header_name};
use super::{At, NativeStep, Outcome, StepSettings};
use crate::plan::reply::Reply;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    header_name: String,
    header_value_format: String,
}

/// The step: the header's name, and its value unless the config lacks something.
pub(super) struct BasicAuthCaller {
    name: Box<str>,
    value: Option<Box<[u8]>>,
}

/// No secret is ever shown.
impl std::fmt::Debug for BasicAuthCaller {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "BasicAuthCaller({})", self.name)
    }
}

impl StepSettings for Settings {
    type Step = BasicAuthCaller;

    fn build(self) -> Result<BasicAuthCaller, String> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let value = match (given(self.username), given(self.password)) {
            (Some(username), Some(password)) => {
                let credentials = STANDARD.encode(format!("{username}:{password}"));
                let format = &self.header_value_format;
                Some(formatted("headerValueFormat", format, &credentials)?.into())
            }
            _ => None,
        };
        Ok(BasicAuthCaller {
            name: header_name("headerName", Some(&self.header_name), "Authorization")?,
            value,
        })
    }
}

impl NativeStep for BasicAuthCaller {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let Some(value) = &self.value else {
            return Outcome::Answer(Reply::json(400, &json!({"error": "Bad configuration"})));
        };
        at.flow.hide(value);
        at.flow.request.headers.set(self.name.as_bytes(), value);
        Outcome::Continue
    }
}
