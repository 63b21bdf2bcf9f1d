//! The connecting side: whom to believe, and what to show to backends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use oto_core::balance::TargetTls;
use oto_core::plan::Snapshot;
use oto_core::tls::{Certificate, Certificates};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
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
    configs: HashMap<TargetTls, Arc<Terms>, RandomState>,
    authorities: Arc<Vec<Arc<Certificate>>>,
    system_cas: bool,
    revision: Option<u64>,
}

/// On what terms connections to a target are made: whom to believe, what to show. A connection is good
/// for requests as long as its terms hold.
pub(crate) struct Terms {
    config: Arc<ClientConfig>,
    /// The same with HTTP/2 as first choice.
    http2: Arc<ClientConfig>,
    verifier: Arc<BackendVerifier>,
    basis: Basis,
    are_over: AtomicBool,
}

impl Terms {
    /// What a session begins with.
    pub(crate) fn config(&self, http2: bool) -> &Arc<ClientConfig> {
        if http2 { &self.http2 } else { &self.config }
    }

    /// Check what a backend showed in a handshake that is made elsewhere.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        unix_s: f64,
    ) -> Result<(), String> {
        let Some((own, others)) = chain.split_first() else {
            return Err("it showed no certificate".to_owned());
        };
        let now = Duration::try_from_secs_f64(unix_s).unwrap_or_default();
        self.verifier
            .verify_server_cert(own, others, name, &[], UnixTime::since_unix_epoch(now))
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    /// The certificate to show in such a handshake when the backend asks for one.
    pub(crate) fn shown(&self) -> Option<&Arc<Certificate>> {
        self.basis.shown.first()
    }

    /// Whether a connection would be made on other terms now, or not at all.
    pub(crate) fn are_over(&self) -> bool {
        self.are_over.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.are_over.store(true, Ordering::Relaxed);
    }
}

/// The certificates that terms are made of.
struct Basis {
    system_cas: bool,
    authorities: Arc<Vec<Arc<Certificate>>>,
    /// Those that the target names to believe, and those to show.
    pinned: Vec<Arc<Certificate>>,
    shown: Vec<Arc<Certificate>>,
}

impl Basis {
    /// # Errors
    /// A certificate that the target names is not there.
    fn of(
        certificates: &Certificates,
        target: &TargetTls,
        authorities: &Arc<Vec<Arc<Certificate>>>,
        system_cas: bool,
    ) -> Result<Self, String> {
        let found = |field: &str, ids: &[String]| {
            let all = ids.iter().map(|id| {
                let missing = || format!("tls_config.{field}: there is no certificate {id}");
                certificates.get(id).map(Arc::clone).ok_or_else(missing)
            });
            all.collect::<Result<Vec<_>, String>>()
        };
        let pinned = found("trusted_certs", &target.trusted_certs)?;
        let shown = found("certs", &target.certs)?;
        // Who believes everybody asks no authority.
        let (system_cas, authorities) = if target.trust_all {
            (false, Arc::default())
        } else {
            (system_cas, Arc::clone(authorities))
        };
        Ok(Self {
            system_cas,
            authorities,
            pinned,
            shown,
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        self.system_cas == other.system_cas
            && (Arc::ptr_eq(&self.authorities, &other.authorities)
                || are_alike(&self.authorities, &other.authorities))
            && are_alike(&self.pinned, &other.pinned)
            && are_alike(&self.shown, &other.shown)
    }
}

/// Whether these certificates are worth the same in a handshake; their names and texts may differ.
fn are_alike(some: &[Arc<Certificate>], others: &[Arc<Certificate>]) -> bool {
    let is_like = |(one, other): (&Arc<Certificate>, &Arc<Certificate>)| {
        Arc::ptr_eq(one, other)
            || one.chain == other.chain
                && one.key == other.key
                && one.is_ca == other.is_ca
                && one.is_revoked == other.is_revoked
    };
    some.len() == others.len() && some.iter().zip(others).all(is_like)
}

impl Clients {
    /// Take over what changed in a snapshot. Terms end that would be made otherwise now; tells whether
    /// there are such.
    pub(crate) fn follow(&mut self, snapshot: &Snapshot) -> bool {
        let certificates = &snapshot.tables.certificates;
        let system_cas = snapshot.settings.tls.system_cas_for_backends;
        if Some(certificates.revision()) == self.revision && system_cas == self.system_cas {
            return false;
        }
        self.revision = Some(certificates.revision());
        self.system_cas = system_cas;
        let found = authorities(certificates);
        if !are_alike(&found, &self.authorities) {
            self.authorities = Arc::new(found);
        }
        let (before, authorities) = (self.configs.len(), &self.authorities);
        self.configs.retain(|target, terms| {
            let holds = Basis::of(certificates, target, authorities, system_cas)
                .is_ok_and(|basis| basis.is_like(&terms.basis));
            if !holds {
                terms.end();
            }
            holds
        });
        self.configs.len() < before
    }

    /// The terms for a target.
    ///
    /// # Errors
    /// A certificate that the target names is not there or cannot be used.
    pub(crate) fn terms(
        &mut self,
        snapshot: &Snapshot,
        target: &TargetTls,
        unix_s: f64,
    ) -> Result<Arc<Terms>, String> {
        self.clock.set(unix_s);
        if self.revision.is_none() {
            self.follow(snapshot);
        }
        if let Some(terms) = self.configs.get(target) {
            return Ok(Arc::clone(terms));
        }
        let certificates = &snapshot.tables.certificates;
        let basis = Basis::of(certificates, target, &self.authorities, self.system_cas)?;
        // One that is no authority is believed for itself alone: it vouches for nobody.
        let issuers = basis.pinned.iter().filter(|it| it.is_ca && !it.is_revoked);
        let store = roots(
            basis.system_cas,
            (basis.authorities.iter().chain(issuers))
                .filter_map(|certificate| certificate.chain.first()),
        );
        let pinned = basis.pinned.clone();
        let verifier = BackendVerifier::new(store, pinned, target.loose, target.trust_all);
        let verifier = Arc::new(verifier);
        let mut pairs = Vec::new();
        for certificate in &basis.shown {
            pairs.push(certified(certificate).ok_or_else(|| {
                let id = &certificate.id;
                format!("tls_config.certs: the certificate {id} has no key that fits")
            })?);
        }
        let time: Arc<dyn TimeProvider> = Arc::clone(&self.clock) as _;
        let builder = ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _);
        let mut config = if pairs.is_empty() {
            builder.with_no_client_auth()
        } else {
            builder.with_client_cert_resolver(Arc::new(Shows(pairs)))
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http2 = config.clone();
        http2.alpn_protocols.insert(0, b"h2".to_vec());
        let terms = Arc::new(Terms {
            config: Arc::new(config),
            http2: Arc::new(http2),
            verifier,
            basis,
            are_over: AtomicBool::new(false),
        });
        if self.configs.len() >= MOST_CONFIGS {
            // Nobody would tell the connections of these when their terms change.
            self.configs.drain().for_each(|(_, terms)| terms.end());
        }
        self.configs.insert(target.clone(), Arc::clone(&terms));
        Ok(terms)
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
