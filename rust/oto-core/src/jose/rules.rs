//! What the claims of a token must be (RFC 7519 section 4.1).

use regex::Regex;
use serde_json::{Map, Value};

use super::error::JoseError;

/// Otoroshi's tolerance for clocks that differ, in seconds.
pub const DEFAULT_LEEWAY_S: f64 = 10.0;

/// Conditions on claims; the default checks times only.
#[derive(Debug)]
pub struct Rules {
    /// Tolerance for `exp`, `nbf` and `iat`, in seconds; not negative.
    pub leeway_s: f64,
    /// Claims that must be there and not null.
    pub required: Vec<Box<str>>,
    /// `iss` must be one of these, when there are any.
    pub issuers: Vec<Box<str>>,
    /// `aud` must have one of these, when there are any.
    pub audiences: Vec<Box<str>>,
    /// `iat` may be this many seconds ago at most.
    pub max_age_s: Option<f64>,
    /// Claims as text that must match a pattern in full.
    pub patterns: Vec<(Box<str>, Regex)>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            leeway_s: DEFAULT_LEEWAY_S,
            required: Vec::new(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            max_age_s: None,
            patterns: Vec::new(),
        }
    }
}

impl Rules {
    /// Check claims at a moment, in Unix seconds. A token is good until `exp` plus the leeway, and
    /// from `nbf` and `iat` less the leeway on.
    ///
    /// # Errors
    /// The first claim that breaks a rule; a time that is no number is a [`JoseError::BadClaim`].
    pub fn check(&self, claims: &Map<String, Value>, unix_s: f64) -> Result<(), JoseError> {
        if let Some(expires) = time(claims, "exp")?
            && unix_s >= expires + self.leeway_s
        {
            return Err(JoseError::Expired);
        }
        if let Some(begins) = time(claims, "nbf")?
            && unix_s < begins - self.leeway_s
        {
            return Err(JoseError::NotYetValid);
        }
        let issued = time(claims, "iat")?;
        if issued.is_some_and(|issued| unix_s < issued - self.leeway_s) {
            return Err(JoseError::IssuedInFuture);
        }
        if let Some(limit) = self.max_age_s {
            let issued = issued.ok_or_else(|| JoseError::MissingClaim("iat".into()))?;
            if unix_s > issued + limit + self.leeway_s {
                return Err(JoseError::TooOld);
            }
        }
        for name in &self.required {
            if claims.get(&**name).is_none_or(Value::is_null) {
                return Err(JoseError::MissingClaim(name.clone()));
            }
        }
        if !self.issuers.is_empty() && !one_of(claims.get("iss"), &self.issuers, false) {
            return Err(missing_or_bad(claims, "iss"));
        }
        if !self.audiences.is_empty() && !one_of(claims.get("aud"), &self.audiences, true) {
            return Err(missing_or_bad(claims, "aud"));
        }
        for (name, pattern) in &self.patterns {
            let text = claims.get(&**name).and_then(text_of);
            if !text.is_some_and(|text| pattern.is_match(&text)) {
                return Err(missing_or_bad(claims, name));
            }
        }
        Ok(())
    }
}

/// A claim's time in Unix seconds (a NumericDate may have a fraction).
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, JoseError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|time| time.is_finite()) {
            Some(time) => Ok(Some(time)),
            None => Err(JoseError::BadClaim(name.into())),
        },
    }
}

fn one_of(value: Option<&Value>, allowed: &[Box<str>], or_list: bool) -> bool {
    let is_allowed = |text: &str| allowed.iter().any(|item| **item == *text);
    match value {
        Some(Value::String(text)) => is_allowed(text),
        Some(Value::Array(items)) if or_list => {
            items.iter().filter_map(Value::as_str).any(is_allowed)
        }
        _ => false,
    }
}

fn missing_or_bad(claims: &Map<String, Value>, name: &str) -> JoseError {
    if claims.contains_key(name) {
        JoseError::BadClaim(name.into())
    } else {
        JoseError::MissingClaim(name.into())
    }
}

/// A scalar as text, as rules compare it; lists, objects and null have none.
#[must_use]
pub fn text_of(value: &Value) -> Option<std::borrow::Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
