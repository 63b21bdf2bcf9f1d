//! Answer `/.well-known/security.txt` (RFC 9116).

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::iso_years_later;
use crate::http1::Method;
use crate::plan::reply::Reply;

const PATH: &str = "/.well-known/security.txt";

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    contact: Vec<String>,
    #[serde(default)]
    auto_expires: bool,
    #[serde(default = "one")]
    expires_years: u16,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    acknowledgments: Option<String>,
    #[serde(default)]
    preferred_languages: Option<String>,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    hiring: Option<String>,
    #[serde(default)]
    encryption: Option<String>,
    #[serde(default)]
    csaf: Option<String>,
}

fn one() -> u16 {
    1
}

/// The step: the lines before and after those that depend on the moment and the route.
#[derive(Debug)]
pub(super) struct SecurityTxt {
    head: Box<str>,
    expires: Option<Box<str>>,
    years: u16,
    tail: Box<str>,
}

impl StepSettings for Settings {
    type Step = SecurityTxt;

    fn build(self) -> Result<SecurityTxt, String> {
        let lines = |fields: &[(&str, Option<&String>)]| -> Result<String, String> {
            let mut text = String::new();
            for (name, value) in fields {
                let Some(value) = value.filter(|value| !value.is_empty()) else {
                    continue;
                };
                if value.contains(['\r', '\n']) {
                    return Err(format!("{name}: must be one line"));
                }
                text.push_str(&format!("{name}: {value}\n"));
            }
            Ok(text)
        };
        let contacts: Vec<_> = self
            .contact
            .iter()
            .map(|contact| ("Contact", Some(contact)))
            .collect();
        lines(&[("Expires", self.expires.as_ref())])?;
        Ok(SecurityTxt {
            head: lines(&contacts)?.into(),
            expires: self.expires.filter(|text| !text.is_empty()).map(Into::into),
            years: if self.auto_expires {
                self.expires_years
            } else {
                1
            },
            tail: lines(&[
                ("Acknowledgments", self.acknowledgments.as_ref()),
                ("Preferred-Languages", self.preferred_languages.as_ref()),
                ("Policy", self.policy.as_ref()),
                ("Hiring", self.hiring.as_ref()),
                ("Encryption", self.encryption.as_ref()),
                ("CSAF", self.csaf.as_ref()),
            ])?
            .into(),
        })
    }
}

impl NativeStep for SecurityTxt {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &*at.flow;
        if flow.request.method != Method::Get || flow.request.path() != PATH {
            return Outcome::Continue;
        }
        let expires = match &self.expires {
            Some(text) => text.to_string(),
            None => iso_years_later(flow.moment.unix_s, self.years),
        };
        let declared = at
            .route
            .facts
            .as_deref()
            .and_then(|facts| facts.domains.first());
        let domain = declared
            .and_then(|domain| domain.split('/').next())
            .unwrap_or_else(|| flow.request.domain());
        let body = format!(
            "{}Expires: {expires}\nCanonical: https://{domain}{PATH}\n{}",
            self.head, self.tail
        );
        Outcome::Answer(Reply {
            status: 200,
            headers: vec![(
                b"Content-Type".to_vec(),
                b"text/plain; charset=utf-8".to_vec(),
            )],
            body: body.into_bytes(),
        })
    }

    fn explain(&self) -> Value {
        json!({"path": PATH})
    }
}
