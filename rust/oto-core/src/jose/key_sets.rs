//! Key sets that were fetched: what the engine looks into and what Python fills.
//!
//! Theory of operation. A verifier that needs the set at a URL asks [`KeySets::find`]. It gets a key, or
//! hears that there is none, or that the set has to be fetched: then its step leaves the decision to
//! the plugin's hook in Python, which fetches, calls [`KeySets::put`] or [`KeySets::fail`], and lets the
//! same step decide again. A set is fetched when it is unknown or older than its time to live, and
//! when a token names a key that it does not have (the issuer may have a new one), but never sooner
//! than [`REFRESH_S`] after the last try: a client that invents key ids or an issuer that is down
//! costs one fetch in that time. A set that cannot be fetched again is believed for one more time to
//! live.
//!
//! A set is kept by the settings it is fetched with, its address among them: what a verifier fetches
//! without a check of the server's certificate, or as somebody else, is nothing to another one.
//!
//! The lock is held to copy a pointer, never while a signature is checked.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::algorithm::Algorithm;
use super::error::JoseError;
use super::jwk::KeySet;
use super::jws::Header;
use super::keys::VerifyingKey;
use super::settings::SetAt;

/// Most sets in the table. An address may have an expression that a client has a say in, and old
/// settings leave sets behind: when the table is full, the set goes that was asked for longest ago.
const MAX_SETS: usize = 1024;
/// Least time between two fetches of one address, in seconds.
pub const REFRESH_S: f64 = 10.0;

/// The table.
#[derive(Debug, Default)]
pub struct KeySets(RwLock<HashMap<Box<str>, Arc<Entry>>>);

#[derive(Debug)]
struct Entry {
    set: Option<Arc<KeySet>>,
    /// When the set came.
    came_s: f64,
    /// When it was last asked for, with or without success.
    tried_s: f64,
}

/// What the table says of a token's key.
#[derive(Debug)]
pub enum Found {
    /// This one.
    Key(Arc<VerifyingKey>),
    /// There is none.
    None,
    /// The set has to be fetched first.
    Fetch,
}

impl KeySets {
    /// The key that a header asks for, from the set at an address.
    #[must_use]
    pub fn find(&self, at: &SetAt, header: &Header, mono_s: f64) -> Found {
        // Without a key id there is nothing to look for, and nothing to fetch.
        let Some(kid) = header.kid() else {
            return Found::None;
        };
        let Some(entry) = self.entry(&at.request) else {
            return Found::Fetch;
        };
        let age_s = mono_s - entry.came_s;
        let may_fetch = mono_s - entry.tried_s >= REFRESH_S;
        let key = entry.key(kid, header.algorithm);
        match key {
            Some(key) if age_s < at.ttl_s => Found::Key(key),
            _ if may_fetch => Found::Fetch,
            Some(key) if age_s < 2.0 * at.ttl_s.max(REFRESH_S) => Found::Key(key),
            _ => Found::None,
        }
    }

    /// The whole set at an address, as long as it is believed.
    #[must_use]
    pub fn whole(&self, at: &SetAt, mono_s: f64) -> Option<Arc<KeySet>> {
        let entry = self.entry(&at.request)?;
        let is_believed = mono_s - entry.came_s < 2.0 * at.ttl_s.max(REFRESH_S);
        entry.set.clone().filter(|_| is_believed)
    }

    /// Whether the set should be fetched before one of these keys is looked for in it.
    #[must_use]
    pub fn is_due(&self, at: &SetAt, kids: &[&str], mono_s: f64) -> bool {
        let Some(entry) = self.entry(&at.request) else {
            return true;
        };
        let has = |kid: &&str| {
            let set = entry.set.as_ref();
            set.is_some_and(|set| set.iter().any(|key| key.kid() == Some(*kid)))
        };
        let is_good = mono_s - entry.came_s < at.ttl_s && kids.iter().all(has);
        !is_good && mono_s - entry.tried_s >= REFRESH_S
    }

    /// Keep a set that was fetched at that moment with these settings ([`SetAt::request`]).
    ///
    /// # Errors
    /// It is no key set; that counts as a failed try.
    pub fn put(&self, request: &str, json: &[u8], mono_s: f64) -> Result<usize, JoseError> {
        match KeySet::parse(json) {
            Ok(set) => {
                let length = set.len();
                let entry = Entry {
                    set: Some(Arc::new(set)),
                    came_s: mono_s,
                    tried_s: mono_s,
                };
                self.write(request, entry);
                Ok(length)
            }
            Err(error) => {
                self.fail(request, mono_s);
                Err(error)
            }
        }
    }

    /// Note that a set could not be fetched; what there was of it stays.
    pub fn fail(&self, request: &str, mono_s: f64) {
        let old = self.entry(request);
        let entry = Entry {
            set: old.as_ref().and_then(|entry| entry.set.clone()),
            came_s: old.map_or(mono_s, |entry| entry.came_s),
            tried_s: mono_s,
        };
        self.write(request, entry);
    }

    /// Whether the set was asked for less than [`REFRESH_S`] ago.
    #[must_use]
    pub fn was_tried(&self, request: &str, mono_s: f64) -> bool {
        self.entry(request)
            .is_some_and(|entry| mono_s - entry.tried_s < REFRESH_S)
    }

    fn entry(&self, request: &str) -> Option<Arc<Entry>> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.get(request).cloned()
    }

    fn write(&self, request: &str, entry: Entry) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MAX_SETS && !table.contains_key(request) {
            let oldest = table
                .iter()
                .min_by(|(_, one), (_, other)| one.tried_s.total_cmp(&other.tried_s))
                .map(|(request, _)| request.clone());
            if let Some(oldest) = oldest {
                table.remove(&oldest);
            }
        }
        table.insert(request.into(), Arc::new(entry));
    }
}

impl Entry {
    fn key(&self, kid: &str, algorithm: Algorithm) -> Option<Arc<VerifyingKey>> {
        self.set.as_ref()?.find(kid, algorithm).cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::jose::Algorithms;

    const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn ask(sets: &KeySets, kid: &str, mono_s: f64) -> &'static str {
        ask_as(sets, "u", kid, mono_s)
    }

    fn ask_as(sets: &KeySets, request: &str, kid: &str, mono_s: f64) -> &'static str {
        let at = SetAt {
            url: "u".into(),
            request: request.into(),
            ttl_s: 100.0,
            algorithms: Algorithms::ALL,
        };
        let mut members = Map::new();
        members.insert("kid".to_owned(), json!(kid));
        let header = Header {
            algorithm: Algorithm::EdDsa,
            members,
        };
        match sets.find(&at, &header, mono_s) {
            Found::Key(_) => "key",
            Found::None => "none",
            Found::Fetch => "fetch",
        }
    }

    #[test]
    fn a_set_is_fetched_once_and_again_when_it_is_old() {
        let sets = KeySets::default();
        assert_eq!(ask(&sets, "a", 0.0), "fetch");
        assert_eq!(sets.put("u", SET.as_bytes(), 0.0), Ok(1));
        assert_eq!(ask(&sets, "a", 99.0), "key");
        assert_eq!(ask(&sets, "a", 100.0), "fetch");
        sets.fail("u", 100.0);
        assert_eq!(ask(&sets, "a", 101.0), "key", "believed a little longer");
        assert_eq!(ask(&sets, "a", 110.0), "fetch");
        sets.fail("u", 195.0);
        assert_eq!(ask(&sets, "a", 201.0), "none", "but not for ever");
    }

    #[test]
    fn an_unknown_key_is_looked_for_now_and_then() {
        let sets = KeySets::default();
        assert_eq!(sets.put("u", SET.as_bytes(), 0.0), Ok(1));
        assert_eq!(ask(&sets, "b", 1.0), "none");
        assert_eq!(ask(&sets, "b", 10.0), "fetch");
        sets.fail("u", 10.0);
        assert_eq!(ask(&sets, "b", 11.0), "none");
        assert_eq!(
            ask(&sets, "a", 11.0),
            "key",
            "a failed try takes nothing away"
        );
    }

    #[test]
    fn an_address_that_fails_is_left_alone_for_a_while() {
        let sets = KeySets::default();
        assert!(sets.put("u", b"<html>", 0.0).is_err());
        assert_eq!(ask(&sets, "a", 9.0), "none");
        assert_eq!(ask(&sets, "a", 10.0), "fetch");
    }

    #[test]
    fn a_set_counts_only_for_the_settings_it_was_fetched_with() {
        let sets = KeySets::default();
        assert_eq!(sets.put("u, unchecked", SET.as_bytes(), 0.0), Ok(1));
        assert_eq!(ask_as(&sets, "u, unchecked", "a", 1.0), "key");
        assert_eq!(ask_as(&sets, "u, checked", "a", 1.0), "fetch");
    }

    #[test]
    fn a_full_table_gives_up_the_set_nobody_asked_for_longest() {
        let sets = KeySets::default();
        assert_eq!(sets.put("u", SET.as_bytes(), 1.0), Ok(1));
        sets.fail("old", 0.0);
        for at in 0..MAX_SETS {
            sets.fail(&at.to_string(), 2.0);
        }
        let length = sets.0.read().expect("a lock").len();
        assert_eq!(length, MAX_SETS);
        assert!(!sets.was_tried("old", 3.0));
        assert_eq!(ask(&sets, "a", 3.0), "fetch", "it went second");
        assert_eq!(sets.put("one more", SET.as_bytes(), 3.0), Ok(1));
        assert_eq!(ask_as(&sets, "one more", "a", 3.0), "key");
    }
}
