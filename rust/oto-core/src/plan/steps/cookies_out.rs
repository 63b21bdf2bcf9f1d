//! Add and remove cookies of the client's response.

use serde::Deserialize;
use serde_json::{Value, json};

use super::cookies_in::cookie_value;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::{Template, header_bytes};
use crate::http1::headers::is_name;

#[derive(Debug, Deserialize)]
pub(super) struct Add {
    name: String,
    value: String,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default, rename = "maxAge")]
    max_age: Option<i64>,
    #[serde(default)]
    secure: bool,
    #[serde(default, rename = "httpOnly")]
    http_only: bool,
    #[serde(default, rename = "sameSite")]
    same_site: Option<String>,
}

/// Set a cookie.
#[derive(Debug)]
pub(super) struct SetCookie {
    name: Template,
    value: Template,
    domain: Option<Template>,
    attributes: Box<[u8]>,
    only_missing: bool,
}

impl StepSettings for Add {
    type Step = SetCookie;

    fn build(self) -> Result<SetCookie, String> {
        let compiled = |key: &str, text: &str| {
            Template::parse(text).map_err(|problem| format!("{key}: {problem}"))
        };
        let mut attributes = String::new();
        if let Some(seconds) = self.max_age {
            attributes.push_str(&format!("; Max-Age={seconds}"));
        }
        if let Some(path) = self.path.filter(|path| !path.is_empty()) {
            if !path.is_ascii()
                || path.contains(|letter: char| letter.is_control() || letter == ';')
            {
                return Err("path: must be plain ASCII without ; and control characters".to_owned());
            }
            attributes.push_str(&format!("; Path={path}"));
        }
        if self.secure {
            attributes.push_str("; Secure");
        }
        if self.http_only {
            attributes.push_str("; HttpOnly");
        }
        match self.same_site.as_deref() {
            None | Some("") => {}
            Some(policy @ ("Strict" | "Lax" | "None")) => {
                attributes.push_str(&format!("; SameSite={policy}"));
            }
            Some(other) => {
                return Err(format!(
                    "sameSite: {other:?} is unknown; use Strict, Lax or None"
                ));
            }
        }
        Ok(SetCookie {
            name: compiled("name", &self.name)?,
            value: compiled("value", &self.value)?,
            domain: self
                .domain
                .filter(|domain| !domain.is_empty())
                .map(|domain| compiled("domain", &domain))
                .transpose()?,
            attributes: attributes.into_bytes().into(),
            only_missing: false,
        })
    }
}

/// The same, unless the cookie is there.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct AddMissing(Add);

impl StepSettings for AddMissing {
    type Step = SetCookie;

    fn build(self) -> Result<SetCookie, String> {
        Ok(SetCookie {
            only_missing: true,
            ..self.0.build()?
        })
    }
}

impl NativeStep for SetCookie {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let name = self.name.text(at.flow).into_owned().into_bytes();
        if !is_name(&name) {
            return Outcome::Continue;
        }
        let headers = &at.flow.response.headers;
        let is_there = headers
            .find_all(b"set-cookie")
            .any(|line| cookie_name(line) == name);
        if is_there && self.only_missing {
            return Outcome::Continue;
        }
        let mut line = name;
        line.push(b'=');
        line.extend(cookie_value(&self.value.text(at.flow)));
        if let Some(domain) = &self.domain {
            line.extend_from_slice(b"; Domain=");
            line.extend(cookie_value(&domain.text(at.flow)));
        }
        line.extend_from_slice(&self.attributes);
        at.flow.response.headers.add(b"Set-Cookie", &line);
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({"name": self.name.source()})
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Remove {
    names: Vec<String>,
}

/// Take cookies away.
#[derive(Debug)]
pub(super) struct RemoveCookies(Vec<Vec<u8>>);

impl StepSettings for Remove {
    type Step = RemoveCookies;

    fn build(self) -> Result<RemoveCookies, String> {
        let names = self.names.iter();
        Ok(RemoveCookies(
            names.map(|name| header_bytes(name)).collect(),
        ))
    }
}

impl NativeStep for RemoveCookies {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let headers = &mut at.flow.response.headers;
        let is_unwanted = |line: &[u8]| self.0.iter().any(|name| name == cookie_name(line));
        if !headers.find_all(b"set-cookie").any(is_unwanted) {
            return Outcome::Continue;
        }
        let kept: Vec<Vec<u8>> = headers
            .find_all(b"set-cookie")
            .filter(|line| !is_unwanted(line))
            .map(<[u8]>::to_vec)
            .collect();
        headers.remove(b"set-cookie");
        for line in kept {
            headers.add(b"Set-Cookie", &line);
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        let names = self.0.iter().map(|name| String::from_utf8_lossy(name));
        json!({"names": names.collect::<Vec<_>>()})
    }
}

/// The name that a `Set-Cookie` sets.
fn cookie_name(line: &[u8]) -> &[u8] {
    let pair = line.split(|byte| *byte == b';').next().unwrap_or(line);
    pair.split(|byte| *byte == b'=')
        .next()
        .unwrap_or(pair)
        .trim_ascii()
}
