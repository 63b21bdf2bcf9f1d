//! Tell browsers what a page may do. An option that is off takes the backend's own header away.

use serde::Deserialize;
use serde_json::Value;

use super::fields::{latin1, names};
use super::{At, NativeStep, Outcome, StepSettings};
use crate::http1::headers::is_value;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    frame_options: String,
    xss_protection: String,
    content_type_options: bool,
    hsts: Hsts,
    csp: Csp,
    referrer_policy: String,
    permissions_policy: PermissionsPolicy,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Hsts {
    enabled: bool,
    include_subdomains: bool,
    max_age: i64,
    preload: bool,
    on_http: bool,
}

impl Default for Hsts {
    fn default() -> Self {
        Self {
            enabled: false,
            include_subdomains: false,
            max_age: 3600,
            preload: false,
            on_http: false,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Csp {
    mode: String,
    csp: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PermissionsPolicy {
    enabled: bool,
    policy: String,
}

/// The step: every header it owns, with its value where the option is on.
#[derive(Debug)]
pub(super) struct SecurityHeaders {
    fields: Vec<(&'static str, Option<Box<[u8]>>)>,
    hsts_on_http: bool,
}

const HSTS: &str = "Strict-Transport-Security";

impl StepSettings for Settings {
    type Step = SecurityHeaders;

    fn build(self) -> Result<SecurityHeaders, String> {
        let known = |key: &str, value: &str, values: &[&str]| {
            if value.is_empty() || value == "DISABLED" || values.contains(&value) {
                return Ok(());
            }
            Err(format!(
                "{key}: {value:?} is unknown; use DISABLED, {}",
                values.join(", ")
            ))
        };
        known(
            "frame_options",
            &self.frame_options,
            &["DENY", "SAMEORIGIN"],
        )?;
        known(
            "xss_protection",
            &self.xss_protection,
            &["OFF", "ON", "BLOCK"],
        )?;
        known("csp.mode", &self.csp.mode, &["ENABLED", "REPORT_ONLY"])?;
        known("referrer_policy", &self.referrer_policy, &REFERRER_POLICIES)?;
        let unless_disabled =
            |value: String| (!value.is_empty() && value != "DISABLED").then_some(value);
        let xss = match self.xss_protection.as_str() {
            "OFF" => Some("0".to_owned()),
            "ON" => Some("1".to_owned()),
            "BLOCK" => Some("1; mode=block".to_owned()),
            _ => None,
        };
        let csp_as = |mode: &str| (self.csp.mode == mode).then(|| self.csp.csp.clone());
        let hsts = self.hsts.enabled.then(|| {
            let mut value = format!("max-age={}", self.hsts.max_age);
            if self.hsts.include_subdomains {
                value.push_str("; includeSubDomains");
            }
            if self.hsts.preload {
                value.push_str("; preload");
            }
            value
        });
        let permissions = &self.permissions_policy;
        let fields = [
            ("X-Frame-Options", unless_disabled(self.frame_options)),
            ("X-XSS-Protection", xss),
            (
                "X-Content-Type-Options",
                self.content_type_options.then(|| "nosniff".to_owned()),
            ),
            (HSTS, hsts),
            ("Content-Security-Policy", csp_as("ENABLED")),
            ("Content-Security-Policy-Report-Only", csp_as("REPORT_ONLY")),
            ("Referrer-Policy", unless_disabled(self.referrer_policy)),
            (
                "Permissions-Policy",
                permissions.enabled.then(|| permissions.policy.clone()),
            ),
        ];
        let checked = |(name, value): (&'static str, Option<String>)| {
            let Some(text) = value else {
                return Ok((name, None));
            };
            match latin1(&text).filter(|bytes| is_value(bytes)) {
                Some(bytes) => Ok((name, Some(bytes.into()))),
                None => Err(format!(
                    "{name}: the value has a character that no header can carry"
                )),
            }
        };
        Ok(SecurityHeaders {
            fields: fields
                .into_iter()
                .map(checked)
                .collect::<Result<_, String>>()?,
            hsts_on_http: self.hsts.on_http,
        })
    }
}

const REFERRER_POLICIES: [&str; 8] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];

impl NativeStep for SecurityHeaders {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        // A browser ignores the field on plain HTTP (RFC 6797 §8.1), and nobody should send it.
        let may_hsts = at.flow.secured || self.hsts_on_http;
        let headers = &mut at.flow.response.headers;
        for (name, value) in &self.fields {
            match value {
                Some(value) if *name != HSTS || may_hsts => headers.set(name.as_bytes(), value),
                _ => {
                    headers.remove(name.as_bytes());
                }
            }
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        let set = self.fields.iter().filter(|(_, value)| value.is_some());
        names(set.map(|(name, _)| name.as_bytes()))
    }
}
