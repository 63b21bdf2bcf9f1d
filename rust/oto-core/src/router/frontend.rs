//! A route's `frontend` object: which requests the route wants, parsed and bounded.
//!
//! Everything that can be wrong is found here, once, with the field, the text and the fix; the
//! router itself cannot fail.

use std::sync::LazyLock;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};

use super::matcher::{NamedTest, ValueTest};
use super::path::DeclaredPath;
use super::problem::{FrontendError, Problem};
use crate::one_or_many::OneOrMany;

/// Which requests a route wants.
#[derive(Clone, Debug)]
pub struct Frontend {
    pub(crate) enabled: bool,
    pub(crate) strip_path: bool,
    pub(crate) exact: bool,
    /// None where there are none: few routes ask for more than a domain and a path.
    conditions: Option<Box<Conditions>>,
    pub(crate) paths: OneOrMany<DeclaredPath>,
}

/// What a frontend asks of a request besides domain and path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) methods: Box<[Box<str>]>,
    pub(crate) bound_listeners: Box<[Box<str>]>,
    pub(crate) headers: Box<[NamedTest]>,
    pub(crate) query: Box<[NamedTest]>,
    pub(crate) cookies: Box<[NamedTest]>,
}

impl Conditions {
    fn is_empty(&self) -> bool {
        self.rank() == 0 && self.methods.is_empty() && self.bound_listeners.is_empty()
    }

    /// How many header, query and cookie matchers there are: more come first.
    fn rank(&self) -> u16 {
        let count = self.headers.len() + self.query.len() + self.cookies.len();
        u16::try_from(count).unwrap_or(u16::MAX)
    }
}

static NO_CONDITIONS: LazyLock<Conditions> = LazyLock::new(Conditions::default);

impl Frontend {
    /// Parse Otoroshi's JSON object `frontend`.
    ///
    /// `null` and a missing field mean the default: `strip_path` true, `exact` false, the rest
    /// empty. `enabled` and `bound_listeners` are fields of the route around it.
    ///
    /// # Errors
    /// [`FrontendError`] on the first field that is wrong.
    pub fn from_json(
        json: &Value,
        enabled: bool,
        bound_listeners: &[String],
    ) -> Result<Self, FrontendError> {
        let none = Map::new();
        let json = match json {
            Value::Null => &none,
            other => other.as_object().ok_or_else(|| {
                FrontendError::new("frontend", &other.to_string(), Problem::Type("an object"))
            })?,
        };
        let (strip_path, exact) = (
            boolean(json, "strip_path", true)?,
            boolean(json, "exact", false)?,
        );
        let conditions = Conditions {
            methods: methods(json)?,
            bound_listeners: bound_listeners
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            headers: tests(json, "headers")?,
            query: tests(json, "query")?,
            cookies: tests(json, "cookies")?,
        };
        Ok(Self {
            enabled,
            strip_path,
            exact,
            conditions: (!conditions.is_empty()).then(|| Box::new(conditions)),
            paths: paths(json)?,
        })
    }

    /// Whether the path that matched is cut from what the upstream sees.
    #[must_use]
    pub fn strip_path(&self) -> bool {
        self.strip_path
    }

    /// The declared domains, as written, those that match the same requests listed once.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| &*path.text)
    }

    /// Whether every request for its domain and path is wanted, on any listener that is not
    /// exclusive.
    pub(crate) fn is_unconditional(&self) -> bool {
        !self.exact && self.conditions.is_none()
    }

    /// What it asks besides domain and path.
    pub(crate) fn conditions(&self) -> &Conditions {
        self.conditions.as_deref().unwrap_or(&NO_CONDITIONS)
    }

    /// How many header, query and cookie matchers there are: more come first.
    pub(crate) fn rank(&self) -> u16 {
        self.conditions().rank()
    }
}

fn boolean(json: &Map<String, Value>, key: &str, default: bool) -> Result<bool, FrontendError> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(FrontendError::new(
            &format!("frontend.{key}"),
            &other.to_string(),
            Problem::Type("true or false"),
        )),
    }
}

fn text<'a>(field: &str, value: &'a Value) -> Result<&'a str, FrontendError> {
    let error = || FrontendError::new(field, &value.to_string(), Problem::Type("a text"));
    value.as_str().ok_or_else(error)
}

fn list<'a>(json: &'a Map<String, Value>, key: &str) -> Result<&'a [Value], FrontendError> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(FrontendError::new(
            &format!("frontend.{key}"),
            &other.to_string(),
            Problem::Type("a list of texts"),
        )),
    }
}

fn bounded(field: &str, length: usize, most: usize) -> Result<(), FrontendError> {
    if length <= most {
        return Ok(());
    }
    let found = format!("{length} items");
    Err(FrontendError::new(field, &found, Problem::TooMany(most)))
}

fn methods(json: &Map<String, Value>) -> Result<Box<[Box<str>]>, FrontendError> {
    let items = list(json, "methods")?;
    bounded("frontend.methods", items.len(), MAX_METHODS)?;
    let named = items.iter().enumerate().map(|(at, item)| {
        let field = format!("frontend.methods[{at}]");
        token(&field, text(&field, item)?).map(Box::from)
    });
    named.collect()
}

fn token<'a>(field: &str, name: &'a str) -> Result<&'a str, FrontendError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(FrontendError::new(field, name, Problem::BadName));
    }
    Ok(name)
}

fn tests(json: &Map<String, Value>, key: &str) -> Result<Box<[NamedTest]>, FrontendError> {
    let field = format!("frontend.{key}");
    let items = match json.get(key) {
        None | Some(Value::Null) => return Ok(Box::default()),
        Some(Value::Object(items)) => items,
        Some(other) => {
            let wanted = Problem::Type("an object of names and expected values");
            return Err(FrontendError::new(&field, &other.to_string(), wanted));
        }
    };
    bounded(&field, items.len(), MAX_MATCHERS)?;
    let parsed = items.iter().map(|(name, value)| {
        let field = format!("{field}.{name}");
        let test = ValueTest::parse(&field, text(&field, value)?)?;
        let name = match key {
            "query" => name.as_str().into(),
            _ => token(&field, name)?.to_ascii_lowercase().into(),
        };
        Ok(NamedTest { name, test })
    });
    parsed.collect()
}

/// The declared paths, those of one shape put together: the tree then never holds a route twice in
/// one place. A shape matches inside segments as soon as one of its spellings does.
fn paths(json: &Map<String, Value>) -> Result<OneOrMany<DeclaredPath>, FrontendError> {
    let mut texts = Vec::new();
    let items = list(json, "domains")?;
    bounded("frontend.domains", items.len(), MAX_DOMAINS)?;
    for (at, item) in items.iter().enumerate() {
        let field = format!("frontend.domains[{at}]");
        let item = text(&field, item)?;
        texts.push((field, item));
    }
    if let (true, Some(item)) = (texts.is_empty(), json.get("domain")) {
        let field = "frontend.domain".to_owned();
        texts.push((field, text("frontend.domain", item)?));
    }
    if texts.is_empty() {
        return Err(FrontendError::new(
            "frontend.domains",
            "[]",
            Problem::NoDomain,
        ));
    }
    let mut places: HashMap<String, usize> = HashMap::with_capacity(texts.len());
    let mut paths: Vec<DeclaredPath> = Vec::with_capacity(texts.len());
    for (field, text) in texts {
        let path = DeclaredPath::parse(&field, text)?;
        match places.entry(path.place().shape()) {
            Entry::Occupied(at) => paths[*at.get()].whole_segments &= path.whole_segments,
            Entry::Vacant(free) => {
                free.insert(paths.len());
                paths.push(path);
            }
        }
    }
    Ok(paths.into())
}

/// Items of `frontend.domains`.
const MAX_DOMAINS: usize = 1024;
/// Items of `frontend.methods`.
const MAX_METHODS: usize = 64;
/// Entries of each of `frontend.headers`, `query` and `cookies`.
const MAX_MATCHERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(json: Value) -> Result<Frontend, FrontendError> {
        Frontend::from_json(&json, true, &[])
    }

    #[test]
    fn missing_and_null_fields_have_defaults() {
        for json in [
            json!({"domain": "a.b"}),
            json!({"domains": ["a.b"], "strip_path": null, "exact": null, "methods": null,
                   "headers": null, "query": null, "cookies": null}),
        ] {
            let frontend = parse(json);
            let facts = frontend.map(|f| {
                (
                    f.strip_path,
                    f.exact,
                    f.rank(),
                    f.conditions().methods.len(),
                )
            });
            assert_eq!(facts, Ok((true, false, 0, 0)));
        }
    }

    #[test]
    fn declarations_of_one_shape_are_one() {
        let frontend = parse(json!({"domains": ["a/x/", "A//x", "a/:i", "a/:j", "a/y/", "a/y"]}));
        let paths = frontend.map(|frontend| {
            let paths = frontend.paths.iter();
            paths
                .map(|path| (path.place().shape(), path.whole_segments))
                .collect()
        });
        let expected = [("a/x", false), ("a/:", false), ("a/y", false)];
        let expected: Vec<_> = expected
            .map(|(text, whole)| (text.to_owned(), whole))
            .into();
        assert_eq!(paths, Ok(expected));
    }

    #[test]
    fn every_mistake_names_field_text_and_fix() {
        for (json, message) in [
            (json!([]), "frontend: \"[]\": this must be an object"),
            (json!({}), "frontend.domains: no domain is declared; add"),
            (json!({"domains": []}), "frontend.domains: no domain"),
            (
                json!({"domains": "a"}),
                "frontend.domains: \"\\\"a\\\"\": this must be a list",
            ),
            (
                json!({"domains": ["a", 1]}),
                "frontend.domains[1]: \"1\": this must be a text",
            ),
            (
                json!({"domains": ["a", "/x"]}),
                "frontend.domains[1]: \"/x\": the host",
            ),
            (
                json!({"domain": "a:1"}),
                "frontend.domain: \"a:1\": a domain has no port",
            ),
            (
                json!({"domain": "a", "exact": 1}),
                "frontend.exact: \"1\": this must be true",
            ),
            (
                json!({"domain": "a", "methods": ["G T"]}),
                "frontend.methods[0]: \"G T\"",
            ),
            (
                json!({"domain": "a", "headers": {"x y": "1"}}),
                "frontend.headers.x y: ",
            ),
            (
                json!({"domain": "a", "headers": {"x": 1}}),
                "frontend.headers.x: \"1\"",
            ),
            (
                json!({"domain": "a", "headers": []}),
                "frontend.headers: \"[]\": this must be",
            ),
            (
                json!({"domain": "a", "query": {"q": "Regex((?=a))"}}),
                "frontend.query.q: \"Regex((?=a))\": a look-ahead (`(?=`) cannot be used here; ",
            ),
        ] {
            let error = parse(json).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.starts_with(message), "{error}");
        }
        let many = vec!["a"; MAX_DOMAINS + 1];
        let error = parse(json!({ "domains": many })).err();
        assert_eq!(
            error.map(|e| e.problem),
            Some(Problem::TooMany(MAX_DOMAINS))
        );
    }
}
