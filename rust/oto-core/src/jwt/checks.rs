//! Otoroshi's `verificationSettings`: what the claims must say beside the times.

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use crate::expression::Template;
use crate::jose::{JoseError, Rules, text_of};
use crate::plan::Flow;

/// Conditions on claims; the times are always checked, with 10 s of tolerance.
#[derive(Debug, Default)]
pub struct Checks {
    rules: Rules,
    /// `iss`, `sub`, `jti`, `aud`: equality.
    registered: Vec<(Box<str>, Template)>,
    fields: Vec<(Box<str>, Field)>,
    arrays: Vec<(Box<str>, Template)>,
}

/// A condition, ready or to be completed for each request because it has expressions.
///
/// Which condition it is stands in the settings; an expression is only what the claim is compared
/// with. Otherwise a client whose header is compared could send `Regex(.*)` and meet its own condition.
#[derive(Debug)]
enum Field {
    Ready(Expected),
    /// The condition's name, none for equality, and what stands between its brackets.
    PerRequest(Option<Box<str>>, Template),
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Json {
    fields: BTreeMap<String, String>,
    array_fields: BTreeMap<String, String>,
}

impl Checks {
    /// Read the JSON.
    ///
    /// # Errors
    /// Field, problem and fix.
    pub fn read(json: &Value) -> Result<Self, String> {
        let json = Json::deserialize(json).map_err(|error| error.to_string())?;
        let mut checks = Self::default();
        for (name, text) in json.fields {
            let template = template(&name, &text)?;
            if matches!(name.as_str(), "iss" | "sub" | "jti" | "aud") {
                checks.registered.push((name.into(), template));
                continue;
            }
            let field = match template.literal() {
                Some(text) => Field::Ready(
                    Expected::parse(text).map_err(|problem| format!("fields.{name}: {problem}"))?,
                ),
                None => match call(&text) {
                    Some((condition, inside)) if Expected::make(condition, "")?.is_some() => {
                        Field::PerRequest(Some(condition.into()), self::template(&name, inside)?)
                    }
                    _ => Field::PerRequest(None, template),
                },
            };
            checks.fields.push((name.into(), field));
        }
        for (name, text) in json.array_fields {
            let template = template(&name, &text)?;
            checks.arrays.push((name.into(), template));
        }
        Ok(checks)
    }

    /// Check claims for an exchange, at its moment.
    ///
    /// # Errors
    /// The first claim that is not as it must be.
    pub fn check(&self, claims: &Map<String, Value>, flow: &Flow) -> Result<(), JoseError> {
        self.rules.check(claims, flow.moment.unix_s)?;
        let bad = |name: &str| Err(JoseError::BadClaim(name.into()));
        for (name, template) in &self.registered {
            let wanted = template.text(flow);
            let met = match claims.get(&**name) {
                Some(Value::String(text)) => *text == *wanted,
                Some(Value::Array(items)) if **name == *"aud" => {
                    items.iter().any(|item| item.as_str() == Some(&*wanted))
                }
                _ => false,
            };
            if !met {
                return bad(name);
            }
        }
        for (name, field) in &self.fields {
            let Some(claim) = claims.get(&**name) else {
                return bad(name);
            };
            let met = match field {
                Field::Ready(expected) => expected.accepts(claim),
                Field::PerRequest(None, template) => {
                    Expected::Equals((&*template.text(flow)).into()).accepts(claim)
                }
                Field::PerRequest(Some(condition), template) => {
                    let made = Expected::make(condition, &template.text(flow));
                    made.is_ok_and(|made| made.is_some_and(|it| it.accepts(claim)))
                }
            };
            if !met {
                return bad(name);
            }
        }
        for (name, template) in &self.arrays {
            let wanted = template.text(flow);
            let Some(Value::Array(items)) = claims.get(&**name) else {
                return bad(name);
            };
            let held = |text: &str| items.iter().filter_map(text_of).any(|item| item == text);
            if !wanted.split(',').map(str::trim).all(held) {
                return bad(name);
            }
        }
        Ok(())
    }
}

fn template(name: &str, text: &str) -> Result<Template, String> {
    Template::parse(text).map_err(|problem| format!("fields.{name}: {problem}"))
}

/// A condition on one claim, in Otoroshi's notation.
///
/// A claim that is a list meets `Contains…` by its items; a text by its parts. `ContainsNot(x)` takes
/// all of what stands between the brackets (Otoroshi cuts three characters too few and so never
/// finds `x`; nobody can depend on a check that always passes).
#[derive(Debug)]
enum Expected {
    Equals(Box<str>),
    Not(Box<str>),
    Matches(Regex),
    MatchesNot(Regex),
    /// All of these are contained.
    ContainsAll(Vec<Box<str>>),
    /// Not all of these are contained.
    ContainsNotAll(Vec<Box<str>>),
    /// One of these is contained.
    ContainsOneOf(Vec<Box<str>>),
    /// None of these is contained.
    ContainsNone(Vec<Box<str>>),
    In(Vec<Box<str>>),
    NotIn(Vec<Box<str>>),
}

impl Expected {
    fn parse(text: &str) -> Result<Self, String> {
        let made = match call(text) {
            Some((name, inside)) => Self::make(name, inside)?,
            None => None,
        };
        Ok(made.unwrap_or_else(|| Self::Equals(text.into())))
    }

    /// The condition of that name; none for a name that is none.
    fn make(name: &str, inside: &str) -> Result<Option<Self>, String> {
        let items = || inside.split(',').map(|item| item.trim().into()).collect();
        Ok(Some(match name {
            "Regex" => Self::Matches(pattern(inside)?),
            "RegexNot" => Self::MatchesNot(pattern(inside)?),
            "Wildcard" => Self::Matches(pattern(&from_wildcard(inside))?),
            "WildcardNot" => Self::MatchesNot(pattern(&from_wildcard(inside))?),
            "Contains" => Self::ContainsAll(vec![inside.into()]),
            "ContainsNot" => Self::ContainsNone(vec![inside.into()]),
            "ContainsOneOf" => Self::ContainsOneOf(items()),
            "ContainsNotOneOf" => Self::ContainsNone(items()),
            "ContainsAll" => Self::ContainsAll(items()),
            "ContainsNotAll" => Self::ContainsNotAll(items()),
            "Not" => Self::Not(inside.into()),
            "ContainedIn" => Self::In(items()),
            "NotContainedIn" => Self::NotIn(items()),
            _ => return Ok(None),
        }))
    }

    fn accepts(&self, claim: &Value) -> bool {
        let list = match claim {
            Value::Array(items) => Some(items),
            _ => None,
        };
        let text = text_of(claim);
        if list.is_none() && text.is_none() {
            return false;
        }
        let contains = |part: &str| match (list, &text) {
            (Some(items), _) => items.iter().filter_map(text_of).any(|item| item == part),
            (None, Some(text)) => text.contains(part),
            (None, None) => false,
        };
        let is = |wanted: &str| text.as_deref() == Some(wanted);
        match self {
            Self::Equals(wanted) => is(wanted),
            Self::Not(unwanted) => text.is_some() && !is(unwanted),
            Self::Matches(pattern) => text.is_some_and(|text| pattern.is_match(&text)),
            Self::MatchesNot(pattern) => text.is_some_and(|text| !pattern.is_match(&text)),
            Self::ContainsAll(parts) => parts.iter().all(|part| contains(part)),
            Self::ContainsNotAll(parts) => !parts.iter().all(|part| contains(part)),
            Self::ContainsOneOf(parts) => parts.iter().any(|part| contains(part)),
            Self::ContainsNone(parts) => !parts.iter().any(|part| contains(part)),
            Self::In(allowed) => allowed.iter().any(|item| is(item)),
            Self::NotIn(refused) => text.is_some() && !refused.iter().any(|item| is(item)),
        }
    }
}

/// Name and inside of `Name(inside)`.
fn call(text: &str) -> Option<(&str, &str)> {
    text.strip_suffix(')')?.split_once('(')
}

fn from_wildcard(pattern: &str) -> String {
    let parts: Vec<String> = pattern.split('*').map(regex::escape).collect();
    // A star stands for line ends too: `WildcardNot(admin*)` is not got around by one.
    parts.join("(?s:.*)")
}

fn pattern(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?:{source})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|_| {
            "not a pattern this gateway can run; it has no look-around and no back-references"
                .to_owned()
        })
}
