//! Let in by role: of the token, the API key or the user.
//!
//! Roles that a JSONPath finds are looked for by the hook in Python.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::apikeys::ApiKey;
use crate::plan::Attrs;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    #[serde(default)]
    allow_all: bool,
    #[serde(default)]
    deny_all: bool,
    #[serde(default)]
    jwt_path: Option<String>,
    #[serde(default)]
    apikey_path: Option<String>,
    #[serde(default)]
    user_path: Option<String>,
    #[serde(default)]
    role_prefix: Option<String>,
    #[serde(default = "roles")]
    roles: String,
}

fn roles() -> String {
    "roles".to_owned()
}

/// The step.
#[derive(Debug)]
pub(super) struct Rbac {
    allow: Vec<String>,
    deny: Vec<String>,
    allow_all: bool,
    deny_all: bool,
    /// What the tag of a role begins with.
    tag: String,
    /// The claim and the metadata that have roles.
    roles: String,
    /// Whether a path says more of the token, the key and the user.
    has_path: [bool; 3],
}

impl StepSettings for Settings {
    type Step = Rbac;

    fn build(self) -> Result<Rbac, String> {
        let prefix = self.role_prefix.filter(|prefix| !prefix.is_empty());
        let is_set = |path: Option<String>| path.is_some_and(|path| !path.is_empty());
        Ok(Rbac {
            tag: prefix.map_or_else(|| "role:".to_owned(), |prefix| format!("{prefix}:role:")),
            has_path: [self.jwt_path, self.apikey_path, self.user_path].map(is_set),
            allow: self.allow,
            deny: self.deny,
            allow_all: self.allow_all,
            deny_all: self.deny_all,
            roles: self.roles,
        })
    }
}

impl Rbac {
    /// Whether a caller with these roles may pass. A list of no denials denies nobody.
    fn admits(&self, roles: &[String]) -> bool {
        let holds = |role: &String| roles.contains(role);
        let is_allowed = if self.allow_all {
            self.allow.iter().all(holds)
        } else {
            self.allow.iter().any(holds)
        };
        let is_denied = if self.deny_all {
            !self.deny.is_empty() && self.deny.iter().all(holds)
        } else {
            self.deny.iter().any(holds)
        };
        !roles.is_empty() && is_allowed && !is_denied
    }

    fn of_tag(&self, tag: &str) -> Option<String> {
        tag.strip_prefix(&*self.tag).map(str::to_owned)
    }

    fn of_token(&self, claims: &Value) -> Vec<String> {
        items(claims.get(&*self.roles))
    }

    fn of_key(&self, key: &ApiKey) -> Vec<String> {
        let mut roles: Vec<String> = key.tags().filter_map(|tag| self.of_tag(tag)).collect();
        if let Some(text) = key.metadata(&self.roles) {
            roles.extend(encoded(text));
        }
        roles
    }

    fn of_user(&self, user: &Value) -> Vec<String> {
        let tags = items(user.get("tags"));
        let mut roles: Vec<String> = tags.iter().filter_map(|tag| self.of_tag(tag)).collect();
        let of = |place: &str| user.get(place).and_then(|place| place.get(&*self.roles));
        match of("metadata") {
            Some(Value::String(text)) => roles.extend(encoded(text)),
            other => roles.extend(items(other)),
        }
        match of("otoroshiData") {
            Some(Value::String(text)) => {
                let parts = text.split(',').map(str::trim);
                roles.extend(parts.filter(|part| !part.is_empty()).map(str::to_owned));
            }
            other => roles.extend(items(other)),
        }
        roles
    }

    /// Whether one of those who call may pass; none when a path has to be looked at first.
    fn decides(&self, attrs: &Attrs) -> Option<bool> {
        let (claims, key, user) = (&attrs.claims, &attrs.apikey, &attrs.user);
        let is_in = claims
            .as_ref()
            .is_some_and(|it| self.admits(&self.of_token(it)))
            || key.as_ref().is_some_and(|it| self.admits(&self.of_key(it)))
            || user
                .as_ref()
                .is_some_and(|it| self.admits(&self.of_user(it)));
        let [of_token, of_key, of_user] = self.has_path;
        let has_more = (of_token && claims.is_some())
            || (of_key && key.is_some())
            || (of_user && user.is_some());
        // A path may also find a role that is denied.
        (!has_more).then_some(is_in)
    }
}

/// The texts of a list.
fn items(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// The texts of a list that is written as JSON in a text.
fn encoded(text: &str) -> Vec<String> {
    items(serde_json::from_str(text).ok().as_ref())
}

impl NativeStep for Rbac {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        match self.decides(&at.flow.attrs) {
            None => Outcome::Python,
            Some(true) => Outcome::Continue,
            Some(false) => Outcome::Answer(at.flow.refusal(403, "forbidden", "")),
        }
    }

    fn explain(&self) -> Value {
        json!({"allow": self.allow, "deny": self.deny})
    }
}
