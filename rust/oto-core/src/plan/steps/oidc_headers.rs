//! Tell the backend who the user is, and give it the user's tokens (`OIDCHeaders`).

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::header_name;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::jose::encoding;

/// What is sent when there is no such token, or its payload cannot be read. Source: Otoroshi.
const NONE: &str = "--";

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    profile: ProfileSettings,
    #[serde(rename = "idToken")]
    id_token: TokenSettings,
    #[serde(rename = "accessToken")]
    access_token: TokenSettings,
}

#[derive(Debug, Deserialize)]
struct ProfileSettings {
    send: bool,
    #[serde(rename = "headerName")]
    header_name: String,
}

#[derive(Debug, Deserialize)]
struct TokenSettings {
    send: bool,
    name: String,
    #[serde(rename = "headerName")]
    header_name: String,
    jwt: bool,
}

/// What a header tells.
#[derive(Debug)]
enum Part {
    Profile,
    /// A member of the user's token, as it is.
    Token(Box<str>),
    /// The payload of a member that is a JWT.
    Payload(Box<str>),
}

/// The step: the headers to write.
#[derive(Debug)]
pub(super) struct OidcHeaders(Vec<(Box<str>, Part)>);

impl StepSettings for Settings {
    type Step = OidcHeaders;

    fn build(self) -> Result<OidcHeaders, String> {
        let mut headers = Vec::new();
        if self.profile.send {
            let given = Some(&*self.profile.header_name);
            let name = header_name("profile.headerName", given, "X-OIDC-User")?;
            headers.push((name, Part::Profile));
        }
        for (key, token, default) in [
            ("idToken.headerName", self.id_token, "X-OIDC-Id-Token"),
            (
                "accessToken.headerName",
                self.access_token,
                "X-OIDC-Access-Token",
            ),
        ] {
            if !token.send {
                continue;
            }
            let name = header_name(key, Some(&token.header_name), default)?;
            let part = if token.jwt {
                Part::Payload
            } else {
                Part::Token
            };
            headers.push((name, part(token.name.into())));
        }
        Ok(OidcHeaders(headers))
    }
}

impl NativeStep for OidcHeaders {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let user = at.flow.attrs.user.clone();
        let token = user
            .as_ref()
            .and_then(|user| user.get("token")?.as_object())
            .filter(|token| !token.is_empty());
        let headers = &mut at.flow.request.headers;
        for (name, part) in &self.0 {
            headers.remove(name.as_bytes());
            if let (Some(user), Some(token)) = (&user, token) {
                headers.set(name.as_bytes(), part.value(user, token).as_bytes());
            }
        }
        Outcome::Continue
    }

    fn owned_headers(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| &**name).collect()
    }

    fn explain(&self) -> Value {
        json!({ "headers": self.0.iter().map(|(name, _)| name).collect::<Vec<_>>() })
    }
}

impl Part {
    fn value(&self, user: &Value, token: &Map<String, Value>) -> String {
        let member = |name: &str| token.get(name).and_then(Value::as_str);
        let text = match self {
            Self::Profile => user
                .get("profile")
                .filter(|profile| !profile.is_null())
                .map(ToString::to_string),
            Self::Token(name) => member(name)
                .filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
                .filter(|token| !token.is_empty())
                .map(str::to_owned),
            Self::Payload(name) => member(name).and_then(payload),
        };
        text.map_or_else(|| NONE.to_owned(), |text| escaped(&text))
    }
}

/// The payload of a JWT, which is not checked here, if it is a JSON object.
fn payload(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let part = parts.nth(1).filter(|_| parts.count() == 1)?;
    let bytes = encoding::decode(part, "payload").ok()?;
    encoding::object(&bytes, "payload").ok()?;
    String::from_utf8(bytes).ok()
}

/// JSON as a header can carry it: white space in one form, and escapes for what is not ASCII.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '\t' | '\n' | '\r' => out.push(' '),
            ' '..='~' => out.push(char),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _infallible = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ascii_is_escaped() {
        assert_eq!(
            escaped("{\"a\":\n\"é\u{1f600}\u{7f}\"}"),
            r#"{"a": "\u00e9\ud83d\ude00\u007f"}"#
        );
    }

    #[test]
    fn a_payload_is_the_middle_of_three_parts() {
        assert_eq!(payload("e30.eyJhIjoxfQ.x").as_deref(), Some(r#"{"a":1}"#));
        for wrong in ["e30.eyJhIjoxfQ", "a.b.c.d", "e30.WzFd.x", "e30.!.x", ""] {
            assert_eq!(payload(wrong), None, "{wrong}");
        }
    }
}
