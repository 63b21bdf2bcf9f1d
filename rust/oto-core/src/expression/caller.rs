//! Who calls: `apikey.…`, `apikeyjwt.…`, `user.…` and `consumer.…`.

use serde_json::{Map, Value, json};

use super::parse::{Lookup, index_with_default, with_default};
use super::value::{at_any_path, at_path, push_json};
use super::{Answer, Fault};
use crate::apikeys::ApiKey;
use crate::plan::Flow;

/// A fact of the caller.
#[derive(Debug)]
pub(super) enum Caller {
    KeyName,
    KeyId,
    KeyJson { pretty: bool },
    KeyMetadata(Box<str>),
    KeyTag(Option<usize>),
    KeyClaim(Box<str>),
    UserName,
    UserEmail,
    UserJson { pretty: bool },
    UserToken(Box<str>),
    UserMetadata(Box<str>),
    UserProfile(Box<str>),
    Id,
    LongId,
    Name,
    Kind,
    Json { pretty: bool },
    Metadata(Box<str>),
}

impl Caller {
    pub(super) fn parse(text: &str) -> Lookup<Self> {
        let (family, rest) = text.split_once('.')?;
        let pretty = rest == "json.pretty";
        let is_json = pretty || rest == "json";
        let fact = match (family, rest) {
            ("apikey", _) if is_json => Self::KeyJson { pretty },
            ("user", _) if is_json => Self::UserJson { pretty },
            ("consumer", _) if is_json => Self::Json { pretty },
            ("apikey", "name") => Self::KeyName,
            ("apikey", "id" | "clientId") => Self::KeyId,
            ("user", "name") => Self::UserName,
            ("user", "email") => Self::UserEmail,
            ("consumer", "id") => Self::Id,
            ("consumer", "long_id") => Self::LongId,
            ("consumer", "name") => Self::Name,
            ("consumer", "kind") => Self::Kind,
            ("apikeyjwt", _) => {
                let missing = format!("no-path-at-{rest}").into();
                return Some((Self::KeyClaim(rest.into()), missing));
            }
            _ => return Self::named(family, rest),
        };
        Some((fact, "".into()))
    }

    fn named(family: &str, rest: &str) -> Lookup<Self> {
        if let ("apikey", Some(rest)) = (family, rest.strip_prefix("tags")) {
            let (at, missing) = index_with_default(rest, "no-tag-")?;
            return Some((Self::KeyTag(at), missing));
        }
        let (kind, rest) = rest.split_once('.')?;
        let marker = if kind == "tokens" { "no-" } else { "no-meta-" };
        let (name, missing) = with_default(rest, marker);
        let name = Box::from(name);
        let fact = match (family, kind) {
            ("apikey", "metadata") => Self::KeyMetadata(name),
            ("user", "tokens") => Self::UserToken(name),
            ("user", "metadata") => Self::UserMetadata(name),
            ("user", "profile") => Self::UserProfile(name),
            ("consumer", "metadata") => Self::Metadata(name),
            _ => return None,
        };
        Some((fact, missing))
    }

    pub(super) fn read(&self, flow: &Flow, out: &mut String) -> Result<Answer, Fault> {
        match self {
            Self::KeyClaim(path) => {
                let claims = flow.attrs.apikey_claims.as_deref();
                Ok(or_unknown(claims, |claims| {
                    push(at_any_path(claims, path), out)
                }))
            }
            Self::KeyName
            | Self::KeyId
            | Self::KeyJson { .. }
            | Self::KeyMetadata(_)
            | Self::KeyTag(_) => match Key::of(flow) {
                Some(key) => self.read_key(&key, out),
                None => Ok(Answer::NotApplicable),
            },
            Self::UserName
            | Self::UserEmail
            | Self::UserJson { .. }
            | Self::UserToken(_)
            | Self::UserMetadata(_)
            | Self::UserProfile(_) => match flow.attrs.user.as_deref() {
                Some(user) => self.read_user(user, out),
                None => Ok(Answer::NotApplicable),
            },
            _ => self.read_consumer(flow, out),
        }
    }

    fn read_key(&self, key: &Key<'_>, out: &mut String) -> Result<Answer, Fault> {
        let text = match self {
            Self::KeyName => Some(key.name()),
            Self::KeyMetadata(name) => key.metadata(name),
            Self::KeyTag(at) => key.tag(at.ok_or(Fault)?),
            Self::KeyJson { pretty } => {
                write_json(&key.light(), *pretty, out)?;
                return Ok(Answer::Found);
            }
            _ => Some(key.id()),
        };
        Ok(push_text(text, out))
    }

    fn read_user(&self, user: &Value, out: &mut String) -> Result<Answer, Fault> {
        let value = match self {
            Self::UserName => user.get("name"),
            Self::UserEmail => user.get("email"),
            Self::UserToken(name) => user.get("token").and_then(|token| at_path(token, name)),
            Self::UserMetadata(path) => data_of(user).and_then(|data| at_path(data, path)),
            Self::UserProfile(path) => {
                let Some(profile) = user.get("profile").filter(|value| value.is_object()) else {
                    out.push_str("no-profile-");
                    out.push_str(path);
                    return Ok(Answer::Found);
                };
                at_path(profile, path)
            }
            Self::UserJson { pretty } => {
                write_json(&light_user(user), *pretty, out)?;
                return Ok(Answer::Found);
            }
            _ => None,
        };
        Ok(push(value, out))
    }

    fn read_consumer(&self, flow: &Flow, out: &mut String) -> Result<Answer, Fault> {
        let user = flow.attrs.user.as_deref();
        let key = Key::of(flow);
        let of_user = |name: &str| user.and_then(|user| user.get(name)).and_then(Value::as_str);
        match self {
            Self::Kind => {
                out.push_str(match (user, &key) {
                    (Some(_), _) => "user",
                    (None, Some(_)) => "apikey",
                    (None, None) => "public",
                });
            }
            Self::Json { pretty } => {
                let consumer = match (&key, user) {
                    (Some(key), _) => json!({"kind": "apikey", "consumer": key.light()}),
                    (None, Some(user)) => json!({"kind": "user", "consumer": light_user(user)}),
                    (None, None) => json!({"kind": "public", "consumer": null}),
                };
                write_json(&consumer, *pretty, out)?;
            }
            Self::Metadata(path) => {
                return Ok(match (user, &key) {
                    (Some(user), _) => push(data_of(user).and_then(|d| at_path(d, path)), out),
                    (None, Some(key)) => push_text(key.metadata(path), out),
                    (None, None) => Answer::NotApplicable,
                });
            }
            _ if user.is_none() && key.is_none() => return Ok(Answer::NotApplicable),
            Self::LongId if user.is_some() => {
                out.push_str(of_user("realm").unwrap_or(""));
                out.push('-');
                out.push_str(of_user("email").unwrap_or(""));
            }
            Self::Name if user.is_some() => out.push_str(of_user("name").unwrap_or("")),
            _ if user.is_some() => out.push_str(of_user("email").unwrap_or("")),
            Self::Name => out.push_str(key.map_or("", |key| key.name())),
            _ => out.push_str(key.map_or("", |key| key.id())),
        }
        Ok(Answer::Found)
    }
}

/// What expressions see of an API key.
struct Key<'a>(&'a ApiKey);

impl<'a> Key<'a> {
    fn of(flow: &'a Flow) -> Option<Self> {
        flow.attrs.apikey.as_deref().map(Self)
    }

    fn id(&self) -> &'a str {
        self.0.client_id()
    }

    fn name(&self) -> &'a str {
        self.0.client_name()
    }

    fn metadata(&self, name: &str) -> Option<&'a str> {
        self.0.metadata(name)
    }

    fn tag(&self, at: usize) -> Option<&'a str> {
        self.0.tags().nth(at)
    }

    fn light(&self) -> Value {
        self.0.light_json()
    }
}

/// The free data that Otoroshi keeps with a user.
fn data_of(user: &Value) -> Option<&Value> {
    user.get("otoroshiData")
        .or_else(|| user.get("otoroshi_data"))
}

/// A user without the session's id and tokens, which would let whoever reads them act as the user.
fn light_user(user: &Value) -> Value {
    let Value::Object(fields) = user else {
        return Value::Null;
    };
    let shown: Map<String, Value> = fields
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "_loc" | "randomId" | "token"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Value::Object(shown)
}

fn or_unknown(value: Option<&Value>, read: impl FnOnce(&Value) -> Answer) -> Answer {
    value.map_or(Answer::NotApplicable, read)
}

fn push(value: Option<&Value>, out: &mut String) -> Answer {
    match value {
        Some(value) if push_json(value, out) => Answer::Found,
        _ => Answer::Missing,
    }
}

fn push_text(text: Option<&str>, out: &mut String) -> Answer {
    let Some(text) = text else {
        return Answer::Missing;
    };
    out.push_str(text);
    Answer::Found
}

fn write_json(value: &Value, pretty: bool, out: &mut String) -> Result<(), Fault> {
    let text = if pretty {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    out.push_str(&text.map_err(|_| Fault)?);
    Ok(())
}
