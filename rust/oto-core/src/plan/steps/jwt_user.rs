//! Make the exchange's user from a token that a verifier accepts (`NgJwtUserExtractor`).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::jose::text_of;
use crate::jwt::{Verdict, random_id};
use crate::plan::Reply;

/// Milliseconds that a user made here is logged in. Source: Otoroshi.
const LIFE_MS: i64 = 3_600_000;

/// The claims that are about the token and not about the user.
const ABOUT_THE_TOKEN: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// Members that lead to a claim, from the outside in; empty for a path that the hook follows.
type Members = Vec<String>;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    verifier: String,
    strict: bool,
    strip: bool,
    name: Members,
    email: Members,
    meta: Members,
}

/// The step is its settings.
#[derive(Debug)]
pub(super) struct JwtUser(Settings);

impl StepSettings for Settings {
    type Step = JwtUser;

    fn build(self) -> Result<JwtUser, String> {
        Ok(JwtUser(self))
    }
}

impl NativeStep for JwtUser {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let snapshot = Arc::clone(&at.flow.snapshot);
        let Some(verifier) = snapshot.tables.verifiers.get(&self.0.verifier) else {
            return self.nobody();
        };
        match verifier.identify(at.flow) {
            Ok(Some(found)) => {
                let Some(claims) = found.claims.as_object() else {
                    return self.nobody();
                };
                let user = self.user(&found.token, claims, at);
                at.flow.attrs.user = Some(Arc::new(user));
                for (name, value) in claims {
                    if let Some(text) = text_of(value) {
                        at.flow.attrs.tell(name, &text);
                    }
                }
                Outcome::Continue
            }
            Ok(None) | Err(Verdict::Accept | Verdict::Refuse(..)) => self.nobody(),
            Err(Verdict::Fetch(settings)) => {
                at.flow.attrs.wanted_key_set = Some(settings);
                Outcome::Python
            }
        }
    }

    fn explain(&self) -> Value {
        json!({ "verifier": self.0.verifier, "strict": self.0.strict })
    }
}

impl JwtUser {
    fn nobody(&self) -> Outcome {
        if !self.0.strict {
            return Outcome::Continue;
        }
        let body = json!({
            "error": "unauthorized",
            "error_description": "You have to provide a valid user",
        });
        Outcome::Answer(Reply::json(401, &body))
    }

    /// The user in Otoroshi's JSON.
    fn user(&self, token: &str, claims: &Map<String, Value>, at: &At<'_>) -> Value {
        let text = |path: &[String]| {
            let text = follow(claims, path).and_then(Value::as_str);
            text.unwrap_or("--").to_owned()
        };
        let mut profile = claims.clone();
        if self.0.strip {
            profile.retain(|name, _| !ABOUT_THE_TOKEN.contains(&name.as_str()));
        }
        let module = format!("JwtUserExtractor@{}", at.route.id);
        let now_ms = (at.flow.moment.unix_s * 1000.0) as i64;
        json!({
            "_loc": {"tenant": "default", "teams": ["default"]},
            "randomId": random_id(),
            "name": text(&self.0.name),
            "email": text(&self.0.email),
            "authConfigId": module,
            "realm": module,
            "profile": profile,
            "token": {"jwt": token, "payload": claims},
            "otoroshiData": follow(claims, &self.0.meta).filter(|data| data.is_object()),
            "createdAt": now_ms,
            "expiredAt": now_ms + LIFE_MS,
            "lastRefresh": now_ms,
            "metadata": {},
            "tags": [],
        })
    }
}

/// What members lead to.
fn follow<'c>(claims: &'c Map<String, Value>, path: &[String]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(claims.get(first)?, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_lead_to_a_value_or_nowhere() {
        let claims = json!({"a": {"b": [1], "c": null}});
        let claims = claims.as_object().expect("an object");
        let at = |path: &[&str]| {
            let path: Members = path.iter().map(|name| (*name).to_owned()).collect();
            follow(claims, &path).cloned()
        };
        assert_eq!(at(&["a", "b"]), Some(json!([1])));
        assert_eq!(at(&["a", "c"]), Some(Value::Null));
        assert_eq!(at(&["a", "b", "0"]), None);
        assert_eq!(at(&["x"]), None);
        assert_eq!(at(&[]), None);
    }
}
