//! Let pages of other origins call: answer preflight requests, and mark every answer.
//!
//! Source: Otoroshi, plugins.md (Cors); the Fetch standard, "CORS protocol".

use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::patterns;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::HeaderTemplate;
use crate::http1::{Headers, Method};
use crate::plan::Phase;
use crate::plan::flow::Flow;
use crate::plan::reply::Reply;
use crate::router::java_regex::JavaRegex;

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    allow_origin: String,
    expose_headers: Vec<String>,
    allow_headers: Vec<String>,
    allow_methods: Vec<String>,
    excluded_patterns: Vec<String>,
    max_age: Option<i64>,
    allow_credentials: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_origin: "*".to_owned(),
            expose_headers: Vec::new(),
            allow_headers: Vec::new(),
            allow_methods: Vec::new(),
            excluded_patterns: Vec::new(),
            max_age: None,
            allow_credentials: true,
        }
    }
}

/// The step.
#[derive(Debug)]
pub(super) struct Cors {
    origin: Box<str>,
    headers: Vec<Box<str>>,
    methods: Vec<Box<str>>,
    excluded: Vec<JavaRegex>,
    fields: Vec<(&'static str, HeaderTemplate)>,
}

impl StepSettings for Settings {
    type Step = Cors;

    fn build(self) -> Result<Cors, String> {
        let lower = |list: &[String]| list.join(", ").to_lowercase();
        let mut texts = vec![
            ("Access-Control-Allow-Origin", self.allow_origin.clone()),
            (
                "Access-Control-Allow-Credentials",
                self.allow_credentials.to_string(),
            ),
            ("Access-Control-Expose-Headers", lower(&self.expose_headers)),
            ("Access-Control-Allow-Headers", lower(&self.allow_headers)),
            (
                "Access-Control-Allow-Methods",
                self.allow_methods.join(", "),
            ),
        ];
        if let Some(seconds) = self.max_age {
            texts.push(("Access-Control-Max-Age", seconds.to_string()));
        }
        let fields = texts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| {
                let value = HeaderTemplate::parse(&text);
                Ok((name, value.map_err(|problem| format!("{name}: {problem}"))?))
            })
            .collect::<Result<_, String>>()?;
        Ok(Cors {
            origin: self.allow_origin.into(),
            headers: self
                .allow_headers
                .iter()
                .map(|name| name.to_ascii_lowercase().into())
                .collect(),
            methods: self.allow_methods.into_iter().map(Into::into).collect(),
            excluded: patterns("excluded_patterns", &self.excluded_patterns)?,
            fields,
        })
    }
}

impl NativeStep for Cors {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let path = at.flow.request.path().as_bytes();
        if self.excluded.iter().any(|pattern| pattern.matches(path)) {
            return Outcome::Continue;
        }
        if at.phase >= Phase::TransformResponse {
            for (name, value) in &self.fields {
                let value = value.value(at.flow);
                at.flow.set_header(at.phase, name.as_bytes(), &value);
            }
            return Outcome::Continue;
        }
        let headers = &at.flow.request.headers;
        let is_preflight = at.flow.request.method == Method::Options
            && headers.find(b"access-control-request-method").is_some();
        let passes = self.passes(headers);
        if is_preflight && passes {
            return Outcome::Answer(Reply {
                status: 204,
                headers: self.reply_fields(at.flow),
                body: Vec::new(),
            });
        }
        // Errors carry the fields too, or a page could not tell why its call failed.
        for (name, value) in &self.fields {
            let value = value.value(at.flow);
            at.flow.add_to_response(name.as_bytes(), &value);
        }
        if is_preflight {
            return Outcome::Answer(at.flow.refusal(404, "Cors error", "errors.cors.error"));
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({"allow_origin": self.origin, "allow_methods": self.methods})
    }
}

impl Cors {
    fn reply_fields(&self, flow: &Flow) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.value(flow).into_owned()))
            .collect()
    }

    /// Whether origin, method and headers that a preflight asks for are allowed.
    fn passes(&self, headers: &Headers) -> bool {
        let origin = headers.find(b"origin").map(<[u8]>::to_ascii_lowercase);
        if &*self.origin != "*" && origin.as_deref() != Some(self.origin.as_bytes()) {
            return false;
        }
        if let Some(method) = headers.find(b"access-control-request-method") {
            let allowed = |known: &str| known.as_bytes().eq_ignore_ascii_case(method);
            if !self.methods.iter().any(|known| allowed(known)) {
                return false;
            }
        }
        let Some(wanted) = headers.find(b"access-control-request-headers") else {
            return true;
        };
        let is_open = self.headers.iter().any(|known| &**known == "*")
            && headers.find(b"cookie").is_none()
            && headers.find(b"authorization").is_none();
        is_open
            || wanted
                .split(|byte| *byte == b',')
                .map(<[u8]>::trim_ascii)
                .filter(|name| !name.is_empty())
                .all(|name| {
                    self.headers
                        .iter()
                        .any(|known| known.as_bytes().eq_ignore_ascii_case(name))
                })
    }
}
