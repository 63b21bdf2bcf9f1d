//! All keys by client id, in memory that 100,000 of them can afford.
//!
//! Bounds: about 400 bytes a key with id, name and secret of the usual length (a test holds it);
//! what keys have in common (tenant, authorisations, quotas) is kept once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use super::authorize::{AuthorizationSpec, Authorizations};
use super::entity::ApiKey;
use crate::intern::Interner;
use crate::limits::Quota;
use crate::plan::Table;
use crate::router::hamt::{Hamt, Search, hash_of};

/// What keys have in common, kept once.
#[derive(Debug, Default)]
pub(super) struct Shared {
    texts: Interner<str>,
    authorizations: Interner<Authorizations>,
    terms: Interner<Terms>,
}

/// Whose keys they are, what they may call and how often: alike in most keys.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) tenant: Arc<str>,
    pub(super) authorizations: Arc<Authorizations>,
    pub(super) quota: Quota,
}

impl Shared {
    pub(super) fn terms(
        &self,
        tenant: &str,
        authorizations: Vec<AuthorizationSpec>,
        quota: Quota,
    ) -> Arc<Terms> {
        let Quota {
            window,
            daily,
            monthly,
        } = quota;
        let written = serde_json::to_string(&authorizations).unwrap_or_default();
        let text = format!(
            "{window} {daily} {monthly} {} {tenant}{written}",
            tenant.len()
        );
        sure(self.terms.get_or_try(&text, || {
            let authorizations = sure(self.authorizations.get_or_try(&written, || {
                Ok(Arc::new(Authorizations::new(authorizations, &self.texts)))
            }));
            Ok(Arc::new(Terms {
                tenant: self.texts.text(tenant),
                authorizations,
                quota,
            }))
        }))
    }
}

fn sure<T>(made: Result<T, Infallible>) -> T {
    match made {
        Ok(made) => made,
        Err(never) => match never {},
    }
}

/// The keys. A clone shares all of them.
#[derive(Clone, Default)]
pub struct ApiKeys {
    rows: Hamt<Arc<ApiKey>>,
    shared: Arc<Shared>,
    /// How many keys name each key pair.
    pairs: Arc<BTreeMap<Box<str>, usize>>,
    len: usize,
}

/// The metadata that names the certificate whose key signs a client's tokens.
pub(super) const KEY_PAIR: &str = "jwt-sign-keypair";

impl ApiKeys {
    /// The key of a client.
    ///
    /// Cost: a hash of the id and one cache line a level; 100,000 keys are three levels deep.
    #[must_use]
    pub fn get(&self, client_id: &str) -> Option<&Arc<ApiKey>> {
        self.rows.get(hash_of(client_id), client_id)
    }

    /// Begin to look for what a client id's hash leads to.
    #[inline]
    pub(super) fn search(&self, hash: u64) -> Search<'_, Arc<ApiKey>> {
        self.rows.search(hash)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ids of certificates that keys name as the key pair of their tokens, in order.
    pub fn key_pairs(&self) -> impl Iterator<Item = &str> {
        self.pairs.keys().map(|id| &**id)
    }

    /// Forget what the key of a client names.
    fn unname(&mut self, client_id: &str) {
        let named = self.get(client_id).and_then(|key| key.metadata(KEY_PAIR));
        let Some(named) = named.map(Box::<str>::from) else {
            return;
        };
        let pairs = Arc::make_mut(&mut self.pairs);
        match pairs.get_mut(&named) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                pairs.remove(&named);
            }
        }
    }
}

impl Table for ApiKeys {
    fn put(&mut self, id: &str, json: &[u8]) -> Result<(), String> {
        let key = ApiKey::read_shared(json, &self.shared)?;
        if key.client_id() != id {
            return Err(format!(
                "clientId: it is not the id {id:?} that the key is stored under; store it again"
            ));
        }
        let is_new = self.get(id).is_none();
        self.unname(id);
        if let Some(named) = key.metadata(KEY_PAIR) {
            *Arc::make_mut(&mut self.pairs)
                .entry(named.into())
                .or_default() += 1;
        }
        self.rows.insert(Arc::new(key));
        self.len += usize::from(is_new);
        Ok(())
    }

    fn remove(&mut self, id: &str) {
        if self.get(id).is_some() {
            self.unname(id);
            self.rows.prune(id, &mut |_| false);
            self.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(id: &str, secret: &str) -> String {
        format!(
            r#"{{"clientId":"{id}","clientSecret":"{secret}","clientName":"the key of {id}",
                "authorizations":[{{"kind":"group","id":"default"}}],"tags":[],"metadata":{{}}}}"#
        )
    }

    #[test]
    fn the_key_pairs_that_keys_name_are_known() {
        let mut keys = ApiKeys::default();
        let mut put = |id: &str, pair: &str| {
            let json = json(id, "s").replace(
                r#""metadata":{}"#,
                &format!(r#""metadata":{{"jwt-sign-keypair":"{pair}"}}"#),
            );
            keys.put(id, json.as_bytes()).expect("a key");
            keys.clone()
        };
        put("a", "one");
        put("b", "two");
        let before = put("c", "two");
        put("a", "two");
        let mut after = put("a", "two");
        assert_eq!(before.key_pairs().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(after.key_pairs().collect::<Vec<_>>(), ["two"]);
        after.remove("b");
        after.remove("b");
        after.remove("a");
        assert_eq!(after.key_pairs().count(), 1);
        after.put("c", json("c", "s").as_bytes()).expect("a key");
        assert_eq!(after.key_pairs().count(), 0);
    }

    #[test]
    fn keys_come_change_and_go() {
        let mut keys = ApiKeys::default();
        keys.put("a", json("a", "1").as_bytes()).expect("a key");
        let before = keys.clone();
        keys.put("a", json("a", "2").as_bytes()).expect("a key");
        assert_eq!(keys.len(), 1);
        assert_eq!(keys.get("a").map(|key| key.secret()), Some("2"));
        assert_eq!(before.get("a").map(|key| key.secret()), Some("1"));
        keys.remove("a");
        keys.remove("a");
        assert!(keys.is_empty() && keys.get("a").is_none());
        assert!(keys.put("b", json("a", "1").as_bytes()).is_err());
    }

    #[test]
    fn a_key_takes_400_bytes() {
        let mut keys = ApiKeys::default();
        let all: Vec<_> = (0..10_000)
            .map(|number| {
                let id = format!("{number:016}");
                let text = json(&id, &"s".repeat(64));
                (id, text)
            })
            .collect();
        let used = allocation_counter::measure(|| {
            for (id, text) in &all {
                keys.put(id, text.as_bytes()).expect("a key");
            }
        });
        let bytes_each = used.bytes_current / 10_000;
        assert!(bytes_each < 400, "{bytes_each} bytes a key");
        assert_eq!(keys.len(), 10_000);
    }
}
