//! One certificate entity, ready for use.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use x509_parser::parse_x509_certificate;

use super::client_certificate::name_text;
use super::distinguished_name::common_name;
use crate::jose::{Algorithms, Private, Public, VerifyingKey};

/// A certificate with its chain and, for those that are ours, its key.
pub struct Certificate {
    /// The entity's id; also the `kid` of its key.
    pub id: Arc<str>,
    /// The chain in DER, the certificate itself first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: Option<PrivateKeyDer<'static>>,
    /// The names it is for, in lower case.
    pub names: Vec<Box<str>>,
    /// Valid from, in Unix seconds.
    pub not_before_s: i64,
    /// Valid until, in Unix seconds.
    pub not_after_s: i64,
    /// It signs others.
    pub is_ca: bool,
    /// It is for clients.
    pub is_client: bool,
    /// It is a pair of keys for signatures and not for TLS.
    pub is_keypair: bool,
    /// It was taken back.
    pub is_revoked: bool,
    /// Its public key may be shown.
    pub is_exposed: bool,
    /// Made by an automaton for a name that is not allowed: handshakes end well, requests do not.
    pub is_not_allowed: bool,
    /// What the engine made of it, once; the core never looks inside.
    pub prepared: OnceLock<Option<Arc<dyn Any + Send + Sync>>>,
    pub(super) verifying: OnceLock<Option<Arc<VerifyingKey>>>,
    pub(super) signing: OnceLock<Option<Arc<Private>>>,
}

/// No key is ever shown.
impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Certificate {{ id: {:?} }}", self.id)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entity {
    chain: String,
    #[serde(default)]
    private_key: Option<String>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    ca: bool,
    #[serde(default)]
    client: bool,
    #[serde(default)]
    keypair: bool,
    #[serde(default)]
    revoked: bool,
    #[serde(default)]
    exposed: bool,
}

impl Certificate {
    /// Read the entity's JSON.
    ///
    /// # Errors
    /// Field, problem and fix.
    pub fn read(id: &str, json: &[u8]) -> Result<Self, String> {
        let entity: Entity = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let chain = CertificateDer::pem_slice_iter(entity.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("chain: not PEM: {error}"))?;
        let Some(own) = chain.first() else {
            return Err("chain: no certificate in it; paste the PEM, its own first".to_owned());
        };
        let (_, parsed) = parse_x509_certificate(own)
            .map_err(|error| format!("chain: its first certificate cannot be read: {error}"))?;
        let key = match entity.private_key.as_deref().map(str::trim) {
            None | Some("") => None,
            // The parser's own words may quote what it read.
            Some(pem) => Some(PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
                "privateKey: not a private key in PEM (PKCS#8, PKCS#1 or SEC1)".to_owned()
            })?),
        };
        let mut names: Vec<Box<str>> = parsed
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|extension| {
                let names = extension.value.general_names.iter();
                names
                    .filter_map(name_text)
                    .map(|name| name.to_ascii_lowercase().into())
                    .collect()
            })
            .unwrap_or_default();
        let common = common_name(parsed.subject());
        let is_not_allowed = common.as_deref() == Some("NotAllowedCert");
        for name in entity.domain.into_iter().chain(common) {
            let name: Box<str> = name.to_ascii_lowercase().into();
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        let is_ca = entity.ca || parsed.is_ca();
        let (not_before_s, not_after_s) = (
            parsed.validity().not_before.timestamp(),
            parsed.validity().not_after.timestamp(),
        );
        Ok(Self {
            id: Arc::from(id),
            key,
            names,
            not_before_s,
            not_after_s,
            is_ca,
            is_client: entity.client,
            is_keypair: entity.keypair,
            is_revoked: entity.revoked,
            is_exposed: entity.exposed,
            is_not_allowed,
            prepared: OnceLock::new(),
            verifying: OnceLock::new(),
            signing: OnceLock::new(),
            chain,
        })
    }

    /// Its public key for signatures of tokens, under the certificate's id; read at first use.
    #[must_use]
    pub fn verifying_key(&self) -> Option<Arc<VerifyingKey>> {
        let key = self.verifying.get_or_init(|| {
            let public = Public::of_certificate(self.chain.first()?)?;
            let key = VerifyingKey::from_public(public, Algorithms::ALL).ok()?;
            Some(Arc::new(key.with_kid(&*self.id)))
        });
        key.clone()
    }

    /// Its private key to sign tokens with; read at first use.
    #[must_use]
    pub fn private_key(&self) -> Option<Arc<Private>> {
        let key = self.signing.get_or_init(|| {
            let der = self.key.as_ref()?.secret_der();
            Private::of_der(der).map(Arc::new)
        });
        key.clone()
    }

    /// Whether a server may show it now.
    #[must_use]
    pub fn serves_at(&self, unix_s: f64) -> bool {
        let second = unix_s as i64;
        self.is_server() && self.not_before_s <= second && second <= self.not_after_s
    }

    /// Whether a name in lower case is one it is for.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.names.iter().any(|own| match own.strip_prefix("*.") {
            Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => **own == *name,
        })
    }

    /// Whether a server may show it while it is valid.
    pub(super) fn is_server(&self) -> bool {
        self.key.is_some() && !self.is_ca && !self.is_keypair && !self.is_revoked
    }
}
