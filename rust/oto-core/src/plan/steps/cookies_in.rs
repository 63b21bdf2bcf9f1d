//! Add and remove cookies of the backend's request.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::Template;
use crate::http1::Headers;
use crate::http1::headers::is_name;

#[derive(Debug, Deserialize)]
pub(super) struct Add {
    name: String,
    value: String,
}

/// Put a cookie in place.
#[derive(Debug)]
pub(super) struct AddCookie {
    name: Template,
    value: Template,
    only_missing: bool,
}

impl StepSettings for Add {
    type Step = AddCookie;

    fn build(self) -> Result<AddCookie, String> {
        Ok(AddCookie {
            name: Template::parse(&self.name).map_err(|problem| format!("name: {problem}"))?,
            value: Template::parse(&self.value).map_err(|problem| format!("value: {problem}"))?,
            only_missing: false,
        })
    }
}

/// The same, unless the cookie is there.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct AddMissing(Add);

impl StepSettings for AddMissing {
    type Step = AddCookie;

    fn build(self) -> Result<AddCookie, String> {
        Ok(AddCookie {
            only_missing: true,
            ..self.0.build()?
        })
    }
}

impl NativeStep for AddCookie {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let name = self.name.text(at.flow).into_owned().into_bytes();
        if !is_name(&name) {
            return Outcome::Continue;
        }
        let mut pair = name.clone();
        pair.push(b'=');
        pair.extend(cookie_value(&self.value.text(at.flow)));
        let headers = &mut at.flow.request.headers;
        let is_there = pairs(headers).any(|(known, _)| known == name);
        if !(is_there && self.only_missing) {
            rewrite(headers, |known| known != name, Some(pair));
        }
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
pub(super) struct RemoveCookies(Vec<String>);

impl StepSettings for Remove {
    type Step = RemoveCookies;

    fn build(self) -> Result<RemoveCookies, String> {
        Ok(RemoveCookies(self.names))
    }
}

impl NativeStep for RemoveCookies {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let headers = &mut at.flow.request.headers;
        let is_unwanted = |name: &[u8]| self.0.iter().any(|known| known.as_bytes() == name);
        if pairs(headers).any(|(name, _)| is_unwanted(name)) {
            rewrite(headers, |name| !is_unwanted(name), None);
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({"names": self.0})
    }
}

/// What a cookie's value may hold: no `;`, which would begin another cookie, and no control character.
pub(super) fn cookie_value(text: &str) -> Vec<u8> {
    crate::expression::header_bytes(text)
        .into_iter()
        .map(|byte| if byte == b';' { b'?' } else { byte })
        .collect()
}

/// Names of the cookies with the pairs they stand in.
fn pairs(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .find_all(b"cookie")
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or(pair);
            (name.trim_ascii_end(), pair)
        })
}

/// Write the cookies that stay, then a new one, as one field.
fn rewrite(headers: &mut Headers, stays: impl Fn(&[u8]) -> bool, added: Option<Vec<u8>>) {
    let kept: Vec<&[u8]> = pairs(headers)
        .filter(|(name, _)| stays(name))
        .map(|(_, pair)| pair)
        .chain(added.as_deref())
        .collect();
    let line = kept.join(&b"; "[..]);
    if line.is_empty() {
        headers.remove(b"cookie");
    } else {
        headers.set(b"Cookie", &line);
    }
}
