//! What of an exchange may be told: secrets are taken out before a record leaves the worker.
//!
//! Three rules, in this order. A name that the settings list is stripped, hashed, masked or shown.
//! A name that has one of the words of [`WORDS`] in it is masked. A value that looks like a
//! credential (a token, a key, a URL with a password) is masked whatever its name.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What stands for a masked value: its length tells nothing.
pub const MASK: &str = "***";

/// Parts of names whose values are never told.
const WORDS: [&str; 21] = [
    "authorization",
    "cookie",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "api-key",
    "apikey",
    "api_key",
    "credential",
    "session",
    "signature",
    "jwt",
    "private",
    "csrf",
    "x-auth",
    "basic-auth",
    "_auth",
    "bearer",
    "otoroshi-state",
];

/// Names of query parameters whose values are never told, beside those with a word in them.
const PARAMETERS: [&str; 8] = [
    "key",
    "code",
    "sig",
    "sign",
    "auth",
    "pwd",
    "pass",
    "assertion",
];

/// Names that no setting may show.
const ALWAYS_HIDDEN: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "clientsecret",
];

/// What is done with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Told as it is, unless it looks like a credential.
    Show,
    /// Left out, with its name.
    Strip,
    /// Replaced by a keyed hash: equal values stay equal.
    Hash,
    /// Replaced by [`MASK`].
    Mask,
}

/// How an operator wants it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactionSettings {
    /// What is done with headers, by name.
    pub headers: BTreeMap<String, Action>,
    /// What is done with query parameters, by name.
    pub query: BTreeMap<String, Action>,
    /// What is done with members of JSON objects, by name.
    pub fields: BTreeMap<String, Action>,
    /// The key of hashes; whoever knows it can try values.
    pub hash_key: String,
}

/// The rules, ready for use.
#[derive(Debug)]
pub struct Redaction {
    headers: BTreeMap<String, Action>,
    query: BTreeMap<String, Action>,
    fields: BTreeMap<String, Action>,
    key: hmac::Key,
}

impl Default for Redaction {
    fn default() -> Self {
        Self {
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            fields: BTreeMap::new(),
            key: hmac::Key::new(hmac::HMAC_SHA256, b""),
        }
    }
}

impl RedactionSettings {
    /// Check the settings.
    ///
    /// # Errors
    /// Field, problem and fix in one line.
    pub fn build(self) -> Result<Redaction, String> {
        let lower = |section: &str, rules: BTreeMap<String, Action>| {
            rules
                .into_iter()
                .map(|(name, action)| {
                    let name = name.to_ascii_lowercase();
                    if action == Action::Show && ALWAYS_HIDDEN.contains(&name.as_str()) {
                        return Err(format!(
                            "{section}.{name}: this is never told in clear; use strip, hash or mask"
                        ));
                    }
                    Ok((name, action))
                })
                .collect::<Result<BTreeMap<_, _>, String>>()
        };
        Ok(Redaction {
            headers: lower("headers", self.headers)?,
            query: lower("query", self.query)?,
            fields: lower("fields", self.fields)?,
            key: hmac::Key::new(hmac::HMAC_SHA256, self.hash_key.as_bytes()),
        })
    }
}

impl Redaction {
    /// A header's value as it may be told; none when the whole field is left out.
    #[must_use]
    pub fn header(&self, name: &str, value: &str) -> Option<String> {
        self.apply(action(&self.headers, &[], name), value)
    }

    /// A query without its secrets.
    #[must_use]
    pub fn query(&self, query: &str) -> String {
        let mut out = String::with_capacity(query.len());
        for part in query.split('&') {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (part, None),
            };
            let Some(value) = value else {
                separate(&mut out);
                out.push_str(if hides_credential(name) { MASK } else { name });
                continue;
            };
            let plain = decoded(value);
            let name_told = if hides_credential(name) { MASK } else { name };
            let told = match action(&self.query, &PARAMETERS, &decoded(name)) {
                Action::Show if is_credential(value) || is_credential(&plain) => MASK.to_owned(),
                Action::Show => value.to_owned(),
                Action::Strip => continue,
                Action::Hash => self.hash(&plain),
                Action::Mask => MASK.to_owned(),
            };
            separate(&mut out);
            out.push_str(name_told);
            out.push('=');
            out.push_str(&told);
        }
        out
    }

    /// A path without segments that look like credentials.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        if !hides_credential(path) {
            return path.to_owned();
        }
        let segments: Vec<&str> = path
            .split('/')
            .map(|segment| {
                if hides_credential(segment) {
                    MASK
                } else {
                    segment
                }
            })
            .collect();
        let told = segments.join("/");
        if hides_credential(&told) {
            format!("/{MASK}")
        } else {
            told
        }
    }

    /// A text as it may be told: the query of a URL without its secrets, no credential.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if hides_credential(text) {
            return MASK.to_owned();
        }
        match text.split_once('?') {
            Some((before, query)) if query.contains('=') => {
                format!("{before}?{}", self.query(query))
            }
            _ => text.to_owned(),
        }
    }

    /// Take the secrets out of a JSON value. An object of `key` and `value` is a header.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(members) => self.object(members),
            _ => {}
        }
    }

    fn object(&self, members: &mut Map<String, Value>) {
        if let (2, Some(Value::String(name)), Some(Value::String(value))) =
            (members.len(), members.get("key"), members.get("value"))
        {
            let told = self.header(name, value).unwrap_or_else(|| MASK.to_owned());
            members.insert("value".into(), Value::String(told));
            return;
        }
        let mut stripped = Vec::new();
        for (name, value) in members.iter_mut() {
            match action(&self.fields, &[], name) {
                Action::Strip => stripped.push(name.clone()),
                Action::Show => self.json(value),
                // Under such a name, numbers and flags are counts and switches.
                hidden => match value {
                    Value::String(text) => {
                        *text = self.apply(hidden, text).unwrap_or_default();
                    }
                    inner => self.hide_texts(hidden, inner),
                },
            }
        }
        for name in stripped {
            members.remove(&name);
        }
    }

    /// A hidden name may hold a list of secrets; its members' own names are judged anew.
    fn hide_texts(&self, hidden: Action, value: &mut Value) {
        match value {
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::String(text) => {
                            *text = self.apply(hidden, text).unwrap_or_default();
                        }
                        inner => self.hide_texts(hidden, inner),
                    }
                }
            }
            Value::Object(members) => self.object(members),
            _ => {}
        }
    }

    fn apply(&self, action: Action, value: &str) -> Option<String> {
        match action {
            Action::Show => Some(self.text(value)),
            Action::Strip => None,
            Action::Hash => Some(self.hash(value)),
            Action::Mask => Some(MASK.to_owned()),
        }
    }

    fn hash(&self, value: &str) -> String {
        let tag = hmac::sign(&self.key, value.as_bytes());
        let mut out = String::from("hash:");
        for byte in tag.as_ref().iter().take(12) {
            out.push_str(&format!("{byte:02x}"));
        }
        out
    }
}

fn separate(out: &mut String) {
    if !out.is_empty() {
        out.push('&');
    }
}

fn action(rules: &BTreeMap<String, Action>, names: &[&str], name: &str) -> Action {
    let lower = name.to_ascii_lowercase();
    if let Some(action) = rules.get(&lower) {
        return *action;
    }
    let hidden = names.contains(&lower.as_str()) || WORDS.iter().any(|word| lower.contains(word));
    if hidden { Action::Mask } else { Action::Show }
}

/// Percent-decoded, as far as it can be.
fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes
            .get(at + 1..at + 3)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let pair = digits.and_then(|digits| {
            let hex = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(hex, 16).ok()
        });
        match (byte, pair) {
            (b'%', Some(value)) => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a text looks like a credential or has one in it.
#[must_use]
pub fn is_credential(text: &str) -> bool {
    has_scheme(text)
        || text.contains("otoapk_")
        || text.contains("-----BEGIN")
        || has_token(text)
        || has_userinfo(text)
}

/// The same of a text that may be percent-encoded.
fn hides_credential(text: &str) -> bool {
    is_credential(text) || is_credential(&decoded(text))
}

/// `Bearer x` and the like.
fn has_scheme(text: &str) -> bool {
    const SCHEMES: [&str; 4] = ["bearer ", "basic ", "negotiate ", "digest "];
    SCHEMES.iter().any(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// A JSON Web Token: `eyJ…` (an object in base64), and a dot. Reads each letter a bounded number of
/// times, however many tokens seem to begin.
fn has_token(text: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let mut before_dots = text.split('.');
    // What follows the last dot is before none.
    before_dots.next_back();
    before_dots.any(|before| {
        let run = before
            .rsplit(|letter| !is_part(letter))
            .next()
            .unwrap_or("");
        run.find("eyJ").is_some_and(|at| run.len() - at >= 8)
    })
}

/// A URL with a password: `scheme://user:password@host`.
fn has_userinfo(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let rest = &text[at + 3..];
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or("");
        authority.contains('@')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";

    fn settings(value: Value) -> Result<Redaction, String> {
        serde_json::from_value::<RedactionSettings>(value)
            .map_err(|error| error.to_string())?
            .build()
    }

    #[test]
    fn headers_with_secrets_are_masked_without_any_setting() {
        let rules = Redaction::default();
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Set-Cookie",
            "Otoroshi-Client-Secret",
            "X-Api-Key",
            "X-Auth-Thing",
            "X-Session",
            "my-jwt",
        ] {
            assert_eq!(rules.header(name, "v").as_deref(), Some(MASK), "{name}");
        }
        for (name, value) in [
            ("X-Odd", TOKEN),
            ("X-Odd", "Bearer abc"),
            ("X-Odd", "basic dTpw"),
            ("X-Odd", "otoapk_1_2"),
            ("X-Odd", "https://u:p@h/x"),
            ("X-Odd", "-----BEGIN PRIVATE KEY-----"),
        ] {
            assert_eq!(rules.header(name, value).as_deref(), Some(MASK), "{value}");
        }
        for (name, value) in [
            ("Accept", "*/*"),
            ("Host", "a.b"),
            ("X-Odd", "eyJ"),
            ("Date", "Basically"),
            ("Link", "https://a/b@c"),
        ] {
            assert_eq!(rules.header(name, value).as_deref(), Some(value));
        }
        assert_eq!(
            rules.header("Referer", "https://a/?token=s&b=1").as_deref(),
            Some("https://a/?token=***&b=1")
        );
    }

    #[test]
    fn queries_and_paths_lose_their_secrets() {
        let rules = Redaction::default();
        assert_eq!(
            rules.query("a=1&access_token=s&Key=k&x"),
            "a=1&access_token=***&Key=***&x"
        );
        assert_eq!(rules.query("basic_auth=YTpi"), "basic_auth=***");
        assert_eq!(rules.query("acc%65ss_tok%65n=s"), "acc%65ss_tok%65n=***");
        assert_eq!(rules.query(&format!("q={TOKEN}&{TOKEN}")), "q=***&***");
        assert_eq!(
            rules.query(&format!("q={}", TOKEN.replace('.', "%2e"))),
            "q=***"
        );
        assert_eq!(rules.path(&format!("/a/{TOKEN}/b")), "/a/***/b");
        assert_eq!(rules.path("/a%2Fb"), "/a%2Fb");
    }

    #[test]
    fn settings_strip_hash_and_show() {
        let rules = settings(json!({
            "headers": {"X-A": "strip", "x-b": "hash", "X-Token-Count": "show"},
            "query": {"q": "hash", "gone": "strip"},
            "fields": {"mail": "strip", "name": "hash"},
            "hash_key": "k"
        }))
        .expect("valid");
        assert_eq!(rules.header("x-a", "1"), None);
        let hashed = rules.header("X-B", "1").expect("kept");
        assert!(hashed.starts_with("hash:") && hashed.len() == 29);
        assert_eq!(rules.header("X-B", "1"), Some(hashed.clone()));
        assert_ne!(rules.header("X-B", "2"), Some(hashed));
        assert_eq!(rules.header("x-token-count", "3").as_deref(), Some("3"));
        assert!(rules.query("gone=1&q=2").starts_with("q=hash:"));
        let mut value = json!({"mail": "m", "name": "n", "n": 1});
        rules.json(&mut value);
        assert!(value.get("mail").is_none() && value["n"] == 1);
        assert!(value["name"].as_str().expect("text").starts_with("hash:"));
        let refused = settings(json!({"headers": {"Authorization": "show"}}));
        assert!(
            refused
                .expect_err("refused")
                .contains("never told in clear")
        );
        assert!(settings(json!({"headers": {"a": "burn"}})).is_err());
    }

    #[test]
    fn a_token_is_told_from_nowhere_it_may_stand() {
        let rules = Redaction::default();
        let secret = TOKEN.rsplit('.').next().expect("a signature");
        let around = [
            "", "a", "/", "?", "&", "=", ";", " ", "%", "%2", "%20", "é", "x=1&", "//",
        ];
        for before in around {
            for after in around {
                let text = format!("{before}{TOKEN}{after}");
                let mut value = json!({"k": [{"k": text}], "l": text});
                rules.json(&mut value);
                for told in [
                    rules.header("x", &text).unwrap_or_default(),
                    rules.query(&text),
                    rules.query(&format!("a={text}")),
                    rules.path(&text),
                    rules.text(&text),
                    value.to_string(),
                ] {
                    assert!(!told.contains(secret), "{text}: {told}");
                }
            }
        }
    }

    #[test]
    fn half_an_escape_hides_no_token() {
        let rules = Redaction::default();
        for text in [
            "%+eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn",
            "%2eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn",
        ] {
            assert_eq!(rules.query(&format!("q={text}")), "q=***", "{text}");
            assert_eq!(rules.query(text), "***", "{text}");
            assert_eq!(rules.path(&format!("/{text}/a")), "/***/a", "{text}");
        }
    }

    /// Whoever calls can send a query that begins a token in every third byte.
    #[test]
    fn looking_for_tokens_takes_one_pass() {
        let text = "eyJ".repeat(300_000);
        assert!(!is_credential(&text));
        assert!(is_credential(&format!("{text}.")));
        assert!(is_credential(&format!("{text}.x eyJ")));
        assert!(!is_credential(&format!("{text} x.")));
    }

    #[test]
    fn json_is_searched_everywhere() {
        let mut value = json!({
            "apiKey": {"clientId": "id", "clientSecret": "s3", "tokens": ["a", {"b": "c"}], "n": 3},
            "headers": [{"key": "Authorization", "value": "s1"}, {"key": "Host", "value": "h"}],
            "list": [TOKEN, "ok"]
        });
        Redaction::default().json(&mut value);
        assert_eq!(
            value,
            json!({
                "apiKey": {"clientId": "id", "clientSecret": "***", "tokens": ["***", {"b": "c"}],
                    "n": 3},
                "headers": [{"key": "Authorization", "value": "***"}, {"key": "Host", "value": "h"}],
                "list": ["***", "ok"]
            })
        );
    }
}
