//! What happens to a token that is good, or absent (Otoroshi's strategies).

use serde::Deserialize;
use serde_json::{Map, Value};

use super::checks::Checks;
use super::source::Source;
use super::verifier::Keys;
use crate::expression::{JsonTemplate, Template};
use crate::plan::Flow;

/// A strategy, ready for use.
#[derive(Debug)]
pub enum Strategy {
    /// The token goes on as it came.
    PassThrough,
    /// The backend gets the same claims under another signature.
    Sign(Keys),
    /// The backend gets other claims under another signature, perhaps in another place.
    Transform(Box<Transform>),
    /// Who has no token gets one.
    DefaultToken {
        /// Whether a token of the client's own is refused.
        strict: bool,
        /// The claims.
        token: JsonTemplate,
    },
}

/// What a transformation does.
#[derive(Debug)]
pub struct Transform {
    pub(super) keys: Keys,
    pub(super) location: Source,
    rename: Vec<(Box<str>, Box<str>)>,
    values: JsonTemplate,
    remove: Vec<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MappingJson {
    map: Map<String, Value>,
    values: Map<String, Value>,
    remove: Vec<String>,
}

impl Strategy {
    /// Read strategy and checks.
    ///
    /// # Errors
    /// Field, problem and fix.
    pub(super) fn read(json: &Value) -> Result<(Self, Checks), String> {
        let member = |name: &str| json.get(name).unwrap_or(&Value::Null);
        let checks = match member("verificationSettings") {
            Value::Null => Checks::default(),
            settings => {
                Checks::read(settings).map_err(|it| format!("verificationSettings.{it}"))?
            }
        };
        let keys = || Keys::read(member("algoSettings")).map_err(|it| format!("algoSettings.{it}"));
        let strategy = match member("type").as_str() {
            Some("PassThrough") => Self::PassThrough,
            Some("Sign") => Self::Sign(keys()?),
            Some("Transform") => Self::Transform(Box::new(
                Transform::read(keys()?, member("transformSettings"))
                    .map_err(|it| format!("transformSettings.{it}"))?,
            )),
            Some("DefaultToken") => Self::DefaultToken {
                strict: member("strict").as_bool().unwrap_or(true),
                token: match member("token") {
                    Value::Null => JsonTemplate::parse(&Value::Object(Map::new())),
                    token => JsonTemplate::parse(token),
                }
                .map_err(|it| format!("token: {it}"))?,
            },
            _ => {
                return Err(
                    "type: unknown; use PassThrough, Sign, Transform or DefaultToken".to_owned(),
                );
            }
        };
        Ok((strategy, checks))
    }
}

impl Transform {
    fn read(keys: Keys, json: &Value) -> Result<Self, String> {
        let location = json.get("location").unwrap_or(&Value::Null);
        let mapping = match json.get("mappingSettings") {
            None | Some(Value::Null) => MappingJson::default(),
            Some(mapping) => MappingJson::deserialize(mapping)
                .map_err(|error| format!("mappingSettings: {error}"))?,
        };
        Ok(Self {
            keys,
            location: Source::read(location).map_err(|it| format!("location.{it}"))?,
            rename: mapping
                .map
                .into_iter()
                .filter_map(|(from, to)| Some((from.into(), to.as_str()?.into())))
                .collect(),
            values: JsonTemplate::parse(&Value::Object(mapping.values))
                .map_err(|it| format!("mappingSettings.values: {it}"))?,
            remove: mapping.remove.into_iter().map(Into::into).collect(),
        })
    }

    /// The claims for the backend: renamed, joined by new ones, without null and what is removed.
    pub(super) fn claims(&self, claims: &Map<String, Value>, flow: &Flow) -> Map<String, Value> {
        let mut result = claims.clone();
        for (from, to) in &self.rename {
            if let Some(value) = result.remove(&**from) {
                result.insert(to.to_string(), value);
            }
        }
        if let Value::Object(values) = self.values.render(flow) {
            result.extend(values);
        }
        result.retain(|name, value| {
            !value.is_null() && !self.remove.iter().any(|gone| **gone == *name)
        });
        set_times(&mut result, flow);
        result
    }
}

/// Seconds that a token made here lives. Source: Otoroshi.
const LIFE_S: i64 = 60;

/// The claims of a default token: Otoroshi's own, then the strategy's over them when `with_own`.
pub fn generate(token: &JsonTemplate, with_own: bool, flow: &mut Flow) -> Map<String, Value> {
    let mut own = Map::new();
    let now_s = flow.moment.unix_s as i64;
    if let Some(id) = random_id() {
        own.insert("jti".to_owned(), id.into());
    }
    own.insert("iat".to_owned(), now_s.into());
    own.insert("nbf".to_owned(), now_s.into());
    own.insert("iss".to_owned(), "Otoroshi".into());
    own.insert("exp".to_owned(), (now_s + LIFE_S).into());
    own.insert("sub".to_owned(), caller(flow).into());
    own.insert("aud".to_owned(), "backend".into());
    for (name, value) in &own {
        match value {
            Value::String(text) => flow.attrs.tell(name, text),
            other => flow.attrs.tell(name, &other.to_string()),
        }
    }
    let mut claims = if with_own { own } else { Map::new() };
    if let Value::Object(rendered) = token.render(flow) {
        claims.extend(rendered);
    }
    set_times(&mut claims, flow);
    claims
}

/// The name of the API key, the user's address, or `anonymous`.
fn caller(flow: &Flow) -> String {
    match Template::parse("${apikey.name || user.email::anonymous}") {
        Ok(template) => template.text(flow).into_owned(),
        Err(_) => "anonymous".to_owned(),
    }
}

/// Put times in place of `{iat}`, `{nbf}` and `{exp}`, and make numbers of times written as text.
fn set_times(claims: &mut Map<String, Value>, flow: &Flow) {
    let now_s = flow.moment.unix_s as i64;
    for name in ["iat", "nbf", "exp"] {
        let Some(Value::String(text)) = claims.get(name) else {
            continue;
        };
        let number = match text.as_str() {
            "{iat}" | "{nbf}" => Some(now_s),
            "{exp}" => Some(now_s + LIFE_S),
            text => text.trim().parse::<i64>().ok(),
        };
        if let Some(number) = number {
            claims.insert(name.to_owned(), number.into());
        }
    }
}

/// A random UUID (RFC 9562 section 5.4); none without randomness.
#[must_use]
pub fn random_id() -> Option<String> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    Some(format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    ))
}
