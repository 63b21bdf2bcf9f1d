//! The entities that steps look up while a request is served, by id: each a persistent map from the
//! JSON that the store holds.
//!
//! To add a kind: a type with [`TableEntity`], a field in [`Tables`], a row in [`Tables::by_kind`], and
//! the kind's name in the gateway's installer.

use std::sync::Arc;

use crate::apikeys::{ApiKey, ApiKeys, Rotation};
use crate::jwt::JwtVerifier;
use crate::router::hamt::{Hamt, Keyed, hash_of};
use crate::tcp::TcpPort;
use crate::tls::Certificates;

/// A table that a change of the store may touch.
pub trait Table {
    /// Put an entity in place of one with the same id.
    ///
    /// # Errors
    /// Field, problem and fix; the table stays as it was.
    fn put(&mut self, id: &str, json: &[u8]) -> Result<(), String>;

    /// Forget an entity; nothing happens when there is none.
    fn remove(&mut self, id: &str);
}

/// What a row of a plain table is made from.
pub trait TableEntity: Sized {
    /// Read the entity's JSON.
    ///
    /// # Errors
    /// Field, problem and fix.
    fn read(id: &str, json: &[u8]) -> Result<Self, String>;
}

/// Entities of one kind by id. A clone shares all rows.
pub struct EntityTable<T> {
    rows: Hamt<Arc<Row<T>>>,
    len: usize,
}

impl<T> Clone for EntityTable<T> {
    fn clone(&self) -> Self {
        Self {
            rows: self.rows.clone(),
            len: self.len,
        }
    }
}

struct Row<T> {
    id: Box<str>,
    entity: Arc<T>,
}

impl<T> Keyed for Row<T> {
    fn key(&self) -> &str {
        &self.id
    }
}

impl<T> Default for EntityTable<T> {
    fn default() -> Self {
        Self {
            rows: Hamt::default(),
            len: 0,
        }
    }
}

impl<T> EntityTable<T> {
    /// The entity with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<T>> {
        self.rows.get(hash_of(id), id).map(|row| &row.entity)
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
}

impl<T: TableEntity> Table for EntityTable<T> {
    fn put(&mut self, id: &str, json: &[u8]) -> Result<(), String> {
        let entity = Arc::new(T::read(id, json)?);
        let is_new = self.get(id).is_none();
        self.rows.insert(Arc::new(Row {
            id: id.into(),
            entity,
        }));
        self.len += usize::from(is_new);
        Ok(())
    }

    fn remove(&mut self, id: &str) {
        if self.get(id).is_some() {
            self.rows.prune(id, &mut |_| false);
            self.len -= 1;
        }
    }
}

/// All tables.
#[derive(Clone, Default)]
pub struct Tables {
    /// API keys by client id.
    pub apikeys: ApiKeys,
    /// When keys that rotate change, and into what.
    pub rotations: EntityTable<Rotation>,
    /// Certificates, for TLS and for signatures.
    pub certificates: Certificates,
    /// JWT verifiers.
    pub verifiers: EntityTable<JwtVerifier>,
    /// Ports of TCP services, by the names of their listeners.
    pub tcp_ports: EntityTable<TcpPort>,
}

impl Tables {
    /// The key of a client as it is at a time: one whose secret is over has the next one.
    #[must_use]
    pub fn api_key(&self, client_id: &str, unix_s: f64) -> Option<&Arc<ApiKey>> {
        let key = self.apikeys.get(client_id)?;
        if !key.rotates() {
            return Some(key);
        }
        let rotation = self.rotations.get(client_id);
        let after = rotation.and_then(|rotation| rotation.after(unix_s));
        Some(after.unwrap_or(key))
    }

    /// The table of a kind, by the name the store has for it.
    pub fn by_kind(&mut self, kind: &str) -> Option<&mut dyn Table> {
        Some(match kind {
            "apikeys" => &mut self.apikeys,
            "apikeys-rotation" => &mut self.rotations,
            "certificates" => &mut self.certificates,
            "jwt-verifiers" => &mut self.verifiers,
            "tcp-ports" => &mut self.tcp_ports,
            _ => return None,
        })
    }
}
