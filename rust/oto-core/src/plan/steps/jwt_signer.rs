//! Give the backend a token made here (`JwtSigner`).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::jwt_verification::bad_request;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::JsonTemplate;
use crate::jwt::{JwtVerifier, Strategy, generate};
use crate::plan::Phase;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    verifier: Option<String>,
    #[serde(default = "yes")]
    replace_if_present: bool,
    #[serde(default)]
    fail_if_present: bool,
}

fn yes() -> bool {
    true
}

/// The step: it may refuse in the access phase and signs when the request is transformed.
#[derive(Debug)]
pub(super) struct JwtSigner {
    verifier: Box<str>,
    replace_if_present: bool,
    fail_if_present: bool,
    /// For verifiers whose strategy has no token of its own.
    nothing: JsonTemplate,
}

impl StepSettings for Settings {
    type Step = JwtSigner;

    fn build(self) -> Result<JwtSigner, String> {
        Ok(JwtSigner {
            verifier: self.verifier.unwrap_or_default().into(),
            replace_if_present: self.replace_if_present,
            fail_if_present: self.fail_if_present,
            nothing: JsonTemplate::parse(&Value::Object(Map::new()))?,
        })
    }
}

impl NativeStep for JwtSigner {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let snapshot = Arc::clone(&at.flow.snapshot);
        let Some(verifier) = snapshot.tables.verifiers.get(&self.verifier) else {
            return Outcome::Answer(bad_request());
        };
        if at.phase == Phase::Access {
            if self.fail_if_present && verifier.is_present(at.flow) {
                return Outcome::Answer(bad_request());
            }
            return Outcome::Continue;
        }
        if !self.replace_if_present && verifier.is_present(at.flow) {
            return Outcome::Continue;
        }
        self.sign(verifier, at)
    }

    fn explain(&self) -> Value {
        json!({ "verifier": self.verifier })
    }
}

impl JwtSigner {
    fn sign(&self, verifier: &JwtVerifier, at: &mut At<'_>) -> Outcome {
        let template = match &verifier.strategy {
            Strategy::DefaultToken { token, .. } => token,
            _ => &self.nothing,
        };
        let Some(key) = verifier.keys().signing(at.flow) else {
            return Outcome::Answer(bad_request());
        };
        let claims = generate(template, true, at.flow);
        let Ok(token) = key.sign(&Map::new(), &claims) else {
            return Outcome::Answer(bad_request());
        };
        verifier.source.inject(&token).apply(at.flow);
        at.flow.attrs.claims_out = Some(Arc::new(Value::Object(claims)));
        at.flow.attrs.token_out = Some(token.into());
        Outcome::Continue
    }
}
