//! Let through who knows a name and a password from a list.
//!
//! Passwords kept as BCrypt hashes take tens of milliseconds to check, which no turn has: the hook in
//! Python checks those in a thread.

use std::collections::HashMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::http1::headers::is_value;
use crate::plan::reply::Reply;

#[derive(Deserialize)]
pub(super) struct Settings {
    realm: String,
    #[serde(default)]
    users: HashMap<String, String>,
}

/// The step.
pub(super) struct BasicAuth {
    challenge: Box<[u8]>,
    users: HashMap<String, String>,
    has_hashes: bool,
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "BasicAuth({} users)", self.users.len())
    }
}

impl StepSettings for Settings {
    type Step = BasicAuth;

    fn build(self) -> Result<BasicAuth, String> {
        let realm = self.realm.replace('\\', "\\\\").replace('"', "\\\"");
        let challenge = format!("Basic realm=\"{realm}\"").into_bytes();
        if !is_value(&challenge) {
            return Err("realm: must be text that a header can carry; use plain letters".into());
        }
        Ok(BasicAuth {
            challenge: challenge.into(),
            has_hashes: self.users.values().any(|password| is_bcrypt(password)),
            users: self.users,
        })
    }
}

impl NativeStep for BasicAuth {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let given = at.flow.request.headers.find(b"authorization");
        let Some((name, password)) = given.and_then(credentials) else {
            return Outcome::Answer(self.challenge());
        };
        let everywhere =
            &at.flow.snapshot.settings.plugins_config["simple_basic_auth_global_users"];
        let expected = std::str::from_utf8(&name).ok().and_then(|name| {
            let known = self.users.get(name).map(String::as_str);
            everywhere.get(name).and_then(Value::as_str).or(known)
        });
        // A name that is not listed costs what a wrong password costs.
        let takes_long = match expected {
            Some(password) => is_bcrypt(password),
            None => self.has_hashes || has_hashes(everywhere),
        };
        if takes_long {
            return Outcome::Python;
        }
        let wanted = expected.unwrap_or("").as_bytes();
        let is_right = verify_slices_are_equal(&password, wanted).is_ok();
        if is_right && expected.is_some() {
            return Outcome::Continue;
        }
        Outcome::Answer(self.challenge())
    }

    fn explain(&self) -> Value {
        json!({"users": self.users.len()})
    }
}

impl BasicAuth {
    fn challenge(&self) -> Reply {
        Reply {
            status: 401,
            headers: vec![(b"WWW-Authenticate".to_vec(), self.challenge.to_vec())],
            body: Vec::new(),
        }
    }
}

/// Name and password of `Basic …` (RFC 7617).
fn credentials(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut name = STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let password = name.split_off(colon + 1);
    name.pop();
    Some((name, password))
}

fn has_hashes(users: &Value) -> bool {
    let users = users.as_object();
    users.is_some_and(|users| users.values().any(|it| it.as_str().is_some_and(is_bcrypt)))
}

fn is_bcrypt(password: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|mark| password.starts_with(mark))
}
