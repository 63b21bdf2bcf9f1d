//! Let only some users through.
//!
//! Names and mail addresses are looked up here; what needs JSONPath is for the hook in Python.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Settings {
    usernames: HashSet<String>,
    emails: HashSet<String>,
    email_domains: Vec<String>,
    metadata_match: Vec<String>,
    otoroshi_data_match: Vec<String>,
    profile_match: Vec<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct AllowedUsers {
    names: HashSet<String>,
    emails: HashSet<String>,
    email_domains: Vec<String>,
    has_paths: bool,
}

impl StepSettings for Settings {
    type Step = AllowedUsers;

    fn build(self) -> Result<AllowedUsers, String> {
        let paths = [
            &self.metadata_match,
            &self.otoroshi_data_match,
            &self.profile_match,
        ];
        Ok(AllowedUsers {
            has_paths: paths.iter().any(|list| !list.is_empty()),
            names: self.usernames,
            emails: self.emails,
            email_domains: self
                .email_domains
                .into_iter()
                .filter(|domain| !domain.is_empty())
                .collect(),
        })
    }
}

impl NativeStep for AllowedUsers {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let Some(user) = at.flow.attrs.user.as_deref() else {
            return Outcome::Answer(at.flow.refusal(403, "forbidden", ""));
        };
        let text = |field: &str| user.get(field).and_then(Value::as_str);
        let is_allowed = text("name").is_some_and(|name| self.names.contains(name))
            || text("email").is_some_and(|email| {
                self.emails.contains(email)
                    || self
                        .email_domains
                        .iter()
                        .any(|domain| is_under(email, domain))
            });
        if is_allowed {
            return Outcome::Continue;
        }
        if self.has_paths {
            return Outcome::Python;
        }
        Outcome::Answer(at.flow.refusal(403, "forbidden", ""))
    }

    fn explain(&self) -> Value {
        json!({"usernames": self.names.len(), "emails": self.emails.len()})
    }
}

/// Whether a mail address is one of a domain, or of a domain below it.
fn is_under(email: &str, domain: &str) -> bool {
    email
        .strip_suffix(domain)
        .is_some_and(|before| domain.starts_with(['@', '.']) || before.ends_with(['@', '.']))
}
