//! Otoroshi's exchange protocol, the info token: who calls, told to the backend in signed claims.
//!
//! Source: Otoroshi's plugin OtoroshiInfos.

use serde_json::{Map, Value, json};

use super::challenge::base_claims;

/// The shape of the claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Objects for user and API key.
    Latest,
    /// Flat claims, and objects as text.
    Legacy,
}

/// Who calls, and what backend is told.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The logged-in user, in Otoroshi's JSON.
    pub user: Option<&'a Value>,
    /// The API key's light JSON.
    pub apikey: Option<&'a Value>,
    /// The client certificate's chain as JSON.
    pub chain: Option<&'a Value>,
    /// The route's name.
    pub audience: &'a str,
}

/// The claims of the token.
#[must_use]
pub fn claims(
    version: Version,
    caller: &Caller<'_>,
    unix_s: i64,
    ttl_s: i64,
) -> Map<String, Value> {
    match version {
        Version::Latest => latest(caller, unix_s, ttl_s),
        Version::Legacy => legacy(caller, unix_s, ttl_s),
    }
}

fn text<'a>(json: Option<&'a Value>, name: &str) -> Option<&'a str> {
    json?.get(name)?.as_str()
}

fn latest(caller: &Caller<'_>, unix_s: i64, ttl_s: i64) -> Map<String, Value> {
    let subject = text(caller.user, "email")
        .or_else(|| text(caller.apikey, "clientName"))
        .unwrap_or("public");
    let mut claims = base_claims(subject, caller.audience, unix_s, ttl_s);
    let kind = match (caller.user, caller.apikey) {
        (Some(_), Some(_)) => "both",
        (Some(_), None) => "user",
        (None, Some(_)) => "apikey",
        (None, None) => "public",
    };
    claims.insert("access_type".to_owned(), kind.into());
    if let Some(user) = caller.user {
        claims.insert("user".to_owned(), clean(user));
    }
    if let Some(apikey) = caller.apikey {
        claims.insert("apikey".to_owned(), apikey.clone());
    }
    claims
}

/// What a backend learns of a user: nothing of the session.
fn clean(user: &Value) -> Value {
    let part = |name: &str, absent: Value| user.get(name).cloned().unwrap_or(absent);
    json!({
        "name": part("name", Value::Null),
        "email": part("email", Value::Null),
        "profile": part("profile", Value::Null),
        "metadata": part("metadata", json!({})),
        "tags": part("tags", json!([])),
    })
}

fn legacy(caller: &Caller<'_>, unix_s: i64, ttl_s: i64) -> Map<String, Value> {
    let (user, apikey) = (caller.user, caller.apikey);
    let subject = match (text(user, "email"), text(apikey, "clientId")) {
        (Some(email), _) => format!("pa:{email}"),
        (None, Some(id)) => format!("apikey:{id}"),
        (None, None) => "--".to_owned(),
    };
    let mut claims = base_claims(&subject, caller.audience, unix_s, ttl_s);
    let profile = user.and_then(|user| user.get("profile"));
    let mut say = |name: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            // What stands first stands: metadata cannot pass itself off as `sub` or `exp`.
            claims.entry(name).or_insert(value);
        }
    };
    let owned = |text: Option<&str>| text.map(Value::from);
    say("email", owned(text(user, "email")));
    say(
        "name",
        owned(text(user, "name").or_else(|| text(apikey, "clientName"))),
    );
    say("picture", owned(text(profile, "picture")));
    let user_id = text(profile, "user_id").or_else(|| text(profile, "sub"));
    say(
        "user_id",
        owned(user_id.or_else(|| text(apikey, "clientId"))),
    );
    for name in ["given_name", "family_name", "gender", "locale", "nickname"] {
        say(name, owned(text(profile, name)));
    }
    let data = user.and_then(|user| user.get("otoroshiData"));
    let metadata = data
        .filter(|data| data.is_object())
        .or_else(|| apikey?.get("metadata"));
    let tags = user.or(apikey).and_then(|who| who.get("tags"));
    say("metadata", metadata.map(written));
    say("tags", tags.map(written));
    say("user", user.map(|user| written(&clean(user))));
    say("apikey", apikey.map(written));
    say("clientCertChain", caller.chain.cloned());
    for (name, value) in metadata.and_then(Value::as_object).into_iter().flatten() {
        say(name, Some(value.clone()));
    }
    claims
}

/// JSON as text.
fn written(json: &Value) -> Value {
    Value::String(json.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(version: Version, user: Option<&Value>, apikey: Option<&Value>) -> Value {
        let caller = Caller {
            user,
            apikey,
            chain: None,
            audience: "orders",
        };
        let mut claims = claims(version, &caller, 1000, 30);
        assert!(claims.remove("jti").is_some_and(|id| id.is_string()));
        for (name, expected) in [("exp", 1030), ("iat", 1000), ("nbr", 1000)] {
            assert_eq!(claims.remove(name), Some(expected.into()));
        }
        assert_eq!(claims.remove("iss"), Some("Otoroshi".into()));
        assert_eq!(claims.remove("aud"), Some("orders".into()));
        Value::Object(claims)
    }

    fn user() -> Value {
        json!({"randomId": "session", "name": "Jo", "email": "jo@a.b", "token": {"access": "x"},
            "profile": {"sub": "7", "picture": "p"}, "otoroshiData": {"plan": "gold", "sub": "evil"},
            "tags": ["t"]})
    }

    fn apikey() -> Value {
        json!({"clientId": "c", "clientName": "n", "metadata": {"plan": "free", "exp": 9}, "tags": []})
    }

    #[test]
    fn latest_tells_of_user_and_key_but_not_of_the_session() {
        assert_eq!(
            shown(Version::Latest, None, None),
            json!({"sub": "public", "access_type": "public"})
        );
        assert_eq!(
            shown(Version::Latest, None, Some(&apikey())),
            json!({"sub": "n", "access_type": "apikey", "apikey": apikey()})
        );
        let both = shown(Version::Latest, Some(&user()), Some(&apikey()));
        assert_eq!(
            (&both["sub"], &both["access_type"]),
            (&json!("jo@a.b"), &json!("both"))
        );
        let clean = json!({"name": "Jo", "email": "jo@a.b", "tags": ["t"], "metadata": {},
            "profile": {"sub": "7", "picture": "p"}});
        assert_eq!(both["user"], clean);
        assert!(
            !both.to_string().contains("session") && !both.to_string().contains("access\":\"x")
        );
    }

    #[test]
    fn legacy_is_flat_and_metadata_replaces_nothing() {
        assert_eq!(shown(Version::Legacy, None, None), json!({"sub": "--"}));
        let key = shown(Version::Legacy, None, Some(&apikey()));
        assert_eq!(key["sub"], "apikey:c");
        assert_eq!((&key["name"], &key["user_id"]), (&json!("n"), &json!("c")));
        assert_eq!(key["plan"], "free");
        assert_eq!(key["metadata"], r#"{"exp":9,"plan":"free"}"#);
        let both = shown(Version::Legacy, Some(&user()), Some(&apikey()));
        assert_eq!(
            (&both["sub"], &both["plan"]),
            (&json!("pa:jo@a.b"), &json!("gold"))
        );
        assert_eq!(
            (&both["user_id"], &both["picture"]),
            (&json!("7"), &json!("p"))
        );
        assert!(
            both["user"]
                .as_str()
                .is_some_and(|text| text.contains("jo@a.b"))
        );
        assert!(both["apikey"].is_string());
    }
}
