//! All certificates, by id and by the names they are for.
//!
//! Theory of operation. The choice for a server name is Otoroshi's (engine_tls §2): certificates that
//! are revoked, expired, authorities or mere key pairs do not count; an exact name wins over a wildcard,
//! which covers one label; of several, the one that lasts longest wins. Names lie in a persistent map,
//! so a choice is one or two lookups however many certificates there are, and a change copies only
//! its own path.

use std::sync::Arc;

use super::certificate::Certificate;
use crate::plan::Table;
use crate::router::hamt::{Hamt, Keyed, hash_of};

/// The table of certificates. A clone shares everything.
#[derive(Clone, Default)]
pub struct Certificates {
    by_id: Hamt<ById>,
    by_name: Hamt<Arc<ByName>>,
    revision: u64,
}

#[derive(Clone)]
struct ById(Arc<Certificate>);

struct ByName {
    name: Box<str>,
    /// The one that lasts longest first.
    certificates: Vec<Arc<Certificate>>,
}

impl Keyed for ById {
    fn key(&self) -> &str {
        &self.0.id
    }
}

impl Keyed for ByName {
    fn key(&self) -> &str {
        &self.name
    }
}

impl Certificates {
    /// The certificate with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Certificate>> {
        self.by_id.get(hash_of(id), id).map(|row| &row.0)
    }

    /// The certificate a server shows for a name in lower case.
    #[must_use]
    pub fn for_name(&self, name: &str, unix_s: f64) -> Option<&Arc<Certificate>> {
        self.named(name, unix_s).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.named(&format!("*.{parent}"), unix_s)
        })
    }

    /// Any certificate that a server may show: the one that lasts longest, then the smallest id.
    #[must_use]
    pub fn any(&self, unix_s: f64) -> Option<&Arc<Certificate>> {
        let mut best: Option<&Arc<Certificate>> = None;
        self.for_each(&mut |certificate| {
            let rank = |it: &Certificate| (it.not_after_s, std::cmp::Reverse(Arc::clone(&it.id)));
            if certificate.serves_at(unix_s)
                && !certificate.is_client
                && best.is_none_or(|best| rank(certificate) > rank(best))
            {
                best = Some(certificate);
            }
        });
        best
    }

    /// A number that is another one after every change, for whoever keeps what follows from them.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Visit all of them.
    pub fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a Arc<Certificate>)) {
        self.by_id.for_each(&mut |row| visit(&row.0));
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    fn named(&self, name: &str, unix_s: f64) -> Option<&Arc<Certificate>> {
        let row = self.by_name.get(hash_of(name), name)?;
        row.certificates
            .iter()
            .find(|certificate| certificate.serves_at(unix_s))
    }

    fn set_names(&mut self, certificate: &Arc<Certificate>, is_in: bool) {
        if !certificate.is_server() {
            return;
        }
        for name in &certificate.names {
            let held = self.by_name.get(hash_of(name), name);
            let mut certificates = held.map_or_else(Vec::new, |row| row.certificates.clone());
            certificates.retain(|other| other.id != certificate.id);
            if is_in {
                certificates.push(Arc::clone(certificate));
                certificates.sort_by(|a, b| (b.not_after_s, &a.id).cmp(&(a.not_after_s, &b.id)));
            }
            if certificates.is_empty() {
                self.by_name.prune(name, &mut |_| false);
            } else {
                self.by_name.insert(Arc::new(ByName {
                    name: name.clone(),
                    certificates,
                }));
            }
        }
    }
}

impl Table for Certificates {
    fn put(&mut self, id: &str, json: &[u8]) -> Result<(), String> {
        let certificate = Arc::new(Certificate::read(id, json)?);
        self.remove(id);
        self.set_names(&certificate, true);
        self.by_id.insert(ById(certificate));
        self.revision += 1;
        Ok(())
    }

    fn remove(&mut self, id: &str) {
        if let Some(certificate) = self.get(id).cloned() {
            self.set_names(&certificate, false);
            self.by_id.prune(id, &mut |_| false);
            self.revision += 1;
        }
    }
}
