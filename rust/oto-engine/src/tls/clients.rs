//! The connecting side: whom to believe, and what to show to backends.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use oto_core::balance::TargetTls;
use oto_core::plan::Snapshot;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SignatureScheme};

use super::clock::Clock;
use super::trust::{BackendVerifier, authorities, roots};
use super::{certified, provider};

/// Configurations kept; with more kinds of targets in use the cache starts over.
const MOST_CONFIGS: usize = 4096;

/// What handshakes with backends need, for the snapshot in use.
#[derive(Default)]
pub(crate) struct Clients {
    clock: Arc<Clock>,
    configs: HashMap<TargetTls, Arc<ClientConfig>, RandomState>,
    system_cas: bool,
    revision: u64,
}

impl Clients {
    /// Take over what changed in a snapshot; forgets what was made of the state before.
    pub(crate) fn follow(&mut self, snapshot: &Snapshot) {
        let revision = snapshot.tables.certificates.revision();
        let system_cas = snapshot.settings.tls.system_cas_for_backends;
        if revision != self.revision || system_cas != self.system_cas {
            self.revision = revision;
            self.system_cas = system_cas;
            self.configs.clear();
        }
    }

    /// The configuration for a target.
    ///
    /// # Errors
    /// A certificate that the target names is not there or cannot be used.
    pub(crate) fn config(
        &mut self,
        snapshot: &Snapshot,
        target: &TargetTls,
        unix_s: f64,
    ) -> Result<Arc<ClientConfig>, String> {
        self.clock.set(unix_s);
        if let Some(config) = self.configs.get(target) {
            return Ok(Arc::clone(config));
        }
        let certificates = &snapshot.tables.certificates;
        let mut pinned = Vec::new();
        for id in &target.trusted_certs {
            let certificate = certificates
                .get(id)
                .ok_or_else(|| format!("tls_config.trusted_certs: there is no certificate {id}"))?;
            pinned.push(Arc::clone(certificate));
        }
        let mut own = authorities(certificates);
        // One that is no authority is believed for itself alone: it vouches for nobody.
        let issuers = pinned.iter().filter(|it| it.is_ca && !it.is_revoked);
        own.extend(issuers.cloned());
        let store = roots(
            self.system_cas,
            own.iter()
                .filter_map(|certificate| certificate.chain.first()),
        );
        let verifier = BackendVerifier::new(store, pinned, target.loose, target.trust_all);
        let mut pairs = Vec::new();
        for id in &target.certs {
            let pair = certificates.get(id).and_then(|it| certified(it));
            pairs.push(pair.ok_or_else(|| {
                format!("tls_config.certs: there is no certificate {id} with a key that fits")
            })?);
        }
        let time: Arc<dyn TimeProvider> = Arc::clone(&self.clock) as _;
        let builder = ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = if pairs.is_empty() {
            builder.with_no_client_auth()
        } else {
            builder.with_client_cert_resolver(Arc::new(Shows(pairs)))
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        if self.configs.len() >= MOST_CONFIGS {
            self.configs.clear();
        }
        self.configs.insert(target.clone(), Arc::clone(&config));
        Ok(config)
    }
}

/// Shows the first certificate that an authority named by the backend issued, else the first.
#[derive(Debug)]
struct Shows(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let usable = || {
            let signs = |pair: &&Arc<CertifiedKey>| pair.key.choose_scheme(schemes).is_some();
            self.0.iter().filter(signs)
        };
        let issued = |pair: &&Arc<CertifiedKey>| {
            pair.cert.iter().any(|der| {
                oto_core::tls::issuer_of(der).is_some_and(|issuer| hints.contains(&issuer))
            })
        };
        usable()
            .find(issued)
            .or_else(|| usable().next())
            .map(Arc::clone)
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
