//! What the operator wrote outside routes: `env`, `config`, `global_config`.
//!
//! The core reads no environment. The gateway hands over the names that the operator lets expressions
//! read, with their values, as part of the snapshot's settings.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Answer;
use super::parse::{Lookup, with_default};
use super::value::{at_path, push_json};
use crate::plan::Flow;

/// Values that expressions may read in every route.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Environment variables by name; only those the operator lets through.
    pub env: BTreeMap<String, String>,
    /// Whether `env` is to be read at all; if not, the expression is unknown.
    pub allows_env: bool,
    /// Static settings, as nested objects.
    pub config: Value,
    /// Whether `config` is to be read at all.
    pub allows_config: bool,
    /// `metadata` of the global configuration.
    pub global_metadata: BTreeMap<String, String>,
    /// `env` of the global configuration.
    pub global_env: Value,
}

/// A value of the environment.
#[derive(Debug)]
pub(super) enum Setting {
    Env(Box<str>),
    Config(Box<str>),
    GlobalMetadata(Box<str>),
    GlobalEnv(Box<str>),
}

impl Setting {
    pub(super) fn parse(text: &str) -> Lookup<Self> {
        if let Some(rest) = text.strip_prefix("env.") {
            let (name, missing) = with_default(rest, "no-env-var-");
            return Some((Self::Env(name.into()), missing));
        }
        if let Some(rest) = text.strip_prefix("config.") {
            let (path, missing) = with_default(rest, "no-config-");
            return Some((Self::Config(path.into()), missing));
        }
        if let Some(name) = text.strip_prefix("global_config.metadata.") {
            let missing = format!("no-metadata-{name}").into();
            return Some((Self::GlobalMetadata(name.into()), missing));
        }
        let path = text.strip_prefix("global_config.env.")?;
        let missing = format!("no-global-env-at-{path}").into();
        Some((Self::GlobalEnv(path.into()), missing))
    }

    pub(super) fn read(&self, flow: &Flow, out: &mut String) -> Answer {
        let environment = &flow.snapshot.settings.expressions;
        let text = match self {
            Self::Env(_) if !environment.allows_env => return Answer::NotApplicable,
            Self::Config(_) if !environment.allows_config => return Answer::NotApplicable,
            Self::Env(name) => environment.env.get(&**name),
            Self::GlobalMetadata(name) => environment.global_metadata.get(&**name),
            Self::Config(path) => return setting(&environment.config, path, out),
            Self::GlobalEnv(path) => return setting(&environment.global_env, path, out),
        };
        let Some(text) = text else {
            return Answer::Missing;
        };
        out.push_str(text);
        Answer::Found
    }
}

/// Append a text, number or truth value at a path; anything larger is no setting.
fn setting(settings: &Value, path: &str, out: &mut String) -> Answer {
    match at_path(settings, path) {
        Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => {
            push_json(value, out);
            Answer::Found
        }
        _ => Answer::Missing,
    }
}
