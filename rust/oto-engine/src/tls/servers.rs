//! The listening side: which certificate is shown, and what is asked of clients.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use oto_core::plan::Snapshot;
use oto_core::tls::{Certificate, ClientAuth, ClientCertificate, TlsSettings};
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};

use super::clock::Clock;
use super::tickets::Tickets;
use super::trust::{ClientVerifier, authorities, roots};
use super::{certified, provider};

/// Configurations kept; with more certificates in use the cache starts over.
const MOST_CONFIGS: usize = 4096;

/// What is asked of clients, and whether they may speak HTTP/1.1 and HTTP/2.
type Ways = (ClientAuth, bool, bool);

/// By the certificate's id and the ways of the listener; the certificate tells whether it is still it.
type Configs = HashMap<(Arc<str>, Ways), (Arc<Certificate>, Arc<ServerConfig>), RandomState>;

/// What handshakes with clients need, for the snapshot in use.
pub(crate) struct Servers {
    clock: Arc<Clock>,
    tickets: HashMap<ClientAuth, Arc<Tickets>, RandomState>,
    configs: Configs,
    verifiers: HashMap<ClientAuth, Arc<ClientVerifier>, RandomState>,
    settings: TlsSettings,
    revision: u64,
}

/// Which certificate a client is shown.
pub(crate) enum Shown {
    /// This one.
    Certificate(Arc<Certificate>),
    /// None is there, but one for this name may be made.
    Wanted,
    /// None.
    Nothing,
}

impl Servers {
    /// `secret` is what session tickets are locked with: the same in all workers.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let clock = Arc::new(Clock::default());
        let tickets = [
            (ClientAuth::None, "None"),
            (ClientAuth::Want, "Want"),
            (ClientAuth::Need, "Need"),
        ];
        let tickets = tickets.map(|(auth, name)| {
            let tickets = Tickets::new(secret, name, Arc::clone(&clock));
            (auth, Arc::new(tickets))
        });
        Self {
            tickets: tickets.into_iter().collect(),
            clock,
            configs: HashMap::default(),
            verifiers: HashMap::default(),
            settings: TlsSettings::default(),
            revision: 0,
        }
    }

    /// Take over what changed in a snapshot; forgets what was made of the state before.
    pub(crate) fn follow(&mut self, snapshot: &Snapshot) {
        let revision = snapshot.tables.certificates.revision();
        if revision != self.revision || snapshot.settings.tls != self.settings {
            self.revision = revision;
            self.settings = snapshot.settings.tls.clone();
            self.configs.clear();
            self.verifiers.clear();
        }
    }

    /// Choose the certificate for a client that asks for a name (Otoroshi, engine_tls §2).
    pub(crate) fn choose(snapshot: &Snapshot, name: Option<&str>, unix_s: f64) -> Shown {
        let certificates = &snapshot.tables.certificates;
        let settings = &snapshot.settings.tls;
        let by_default = || {
            let domain = settings.default_domain.as_deref()?;
            certificates.for_name(&domain.to_ascii_lowercase(), unix_s)
        };
        let is_any_right =
            settings.random_if_not_found || (name.is_none() && settings.any_without_name);
        let any = || is_any_right.then(|| certificates.any(unix_s))?;
        let found = name
            .and_then(|name| certificates.for_name(name, unix_s))
            .or_else(by_default)
            .or_else(any);
        match found {
            Some(certificate) => Shown::Certificate(Arc::clone(certificate)),
            None if settings.creates_certificates && name.is_some() => Shown::Wanted,
            None => Shown::Nothing,
        }
    }

    /// The configuration that shows a certificate.
    ///
    /// # Errors
    /// What is wrong with the certificate.
    pub(crate) fn config(
        &mut self,
        snapshot: &Snapshot,
        certificate: &Arc<Certificate>,
        ways: Ways,
        unix_s: f64,
    ) -> Result<Arc<ServerConfig>, String> {
        self.clock.set(unix_s);
        let (auth, http1, http2) = ways;
        let key = (Arc::clone(&certificate.id), ways);
        if let Some((known, config)) = self.configs.get(&key) {
            if Arc::ptr_eq(known, certificate) {
                return Ok(Arc::clone(config));
            }
        }
        let pair = certified(certificate)
            .ok_or("its private key does not fit, or is of a kind that TLS does not use")?;
        let time: Arc<dyn TimeProvider> = Arc::clone(&self.clock) as _;
        let builder = ServerConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?;
        let builder = match self.verifier(snapshot, auth) {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_cert_resolver(Arc::new(SingleCertAndKey::from((*pair).clone())));
        if http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        if http1 {
            config.alpn_protocols.push(b"http/1.1".to_vec());
        }
        if let Some(tickets) = self.tickets.get(&auth) {
            config.ticketer = Arc::clone(tickets) as _;
        }
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let config = Arc::new(config);
        if self.configs.len() >= MOST_CONFIGS {
            self.configs.clear();
        }
        self.configs
            .insert(key, (Arc::clone(certificate), Arc::clone(&config)));
        Ok(config)
    }

    /// What a client showed, with the word of the authorities on it.
    pub(crate) fn client_cert(
        &mut self,
        snapshot: &Snapshot,
        auth: ClientAuth,
        chain: &[CertificateDer<'_>],
    ) -> Option<Arc<ClientCertificate>> {
        let verifier = self.verifier(snapshot, auth)?;
        let now = self.clock.current_time()?;
        let vouched = verifier.vouched(chain, now);
        let is_trusted = vouched.is_some();
        let chain = vouched.as_deref().unwrap_or(chain);
        let chain = chain.iter().map(|der| der.to_vec()).collect();
        ClientCertificate::read(chain, is_trusted).map(Arc::new)
    }

    /// Like [`Servers::client_cert`], for a handshake that is done elsewhere.
    pub(crate) fn client_cert_at(
        &mut self,
        snapshot: &Snapshot,
        auth: ClientAuth,
        chain: &[CertificateDer<'_>],
        unix_s: f64,
    ) -> Option<Arc<ClientCertificate>> {
        self.clock.set(unix_s);
        self.client_cert(snapshot, auth, chain)
    }

    /// Check what a client showed in a handshake that is done elsewhere, as one that is done here does.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check_client(
        &mut self,
        snapshot: &Snapshot,
        auth: ClientAuth,
        chain: &[CertificateDer<'_>],
        unix_s: f64,
    ) -> Result<(), Error> {
        self.clock.set(unix_s);
        let Some(verifier) = self.verifier(snapshot, auth) else {
            return Ok(());
        };
        let Some((own, others)) = chain.split_first() else {
            return match verifier.client_auth_mandatory() {
                true => Err(Error::NoCertificatesPresented),
                false => Ok(()),
            };
        };
        let now = self
            .clock
            .current_time()
            .ok_or(Error::FailedToGetCurrentTime)?;
        verifier.verify_client_cert(own, others, now).map(|_| ())
    }

    fn verifier(&mut self, snapshot: &Snapshot, auth: ClientAuth) -> Option<Arc<ClientVerifier>> {
        if auth == ClientAuth::None {
            return None;
        }
        let settings = &self.settings;
        let verifier = self.verifiers.entry(auth).or_insert_with(|| {
            let certificates = &snapshot.tables.certificates;
            let trusted = if settings.trusted_cas.is_empty() {
                authorities(certificates)
            } else {
                let named = settings.trusted_cas.iter();
                named
                    .filter_map(|id| certificates.get(id).cloned())
                    .filter(|certificate| !certificate.is_revoked)
                    .collect()
            };
            let own = trusted
                .iter()
                .filter_map(|certificate| certificate.chain.first());
            // No name is a welcome for any certificate: clients show none to those who do not name
            // its issuer. So either the operator said which authorities count, or no others do.
            let is_told = !settings.trusted_cas.is_empty()
                || (settings.strict && !settings.system_cas_for_clients);
            let named = if is_told {
                roots(false, own.clone()).subjects()
            } else {
                Vec::new()
            };
            Arc::new(ClientVerifier::new(
                roots(settings.system_cas_for_clients, own),
                named,
                auth == ClientAuth::Need,
                settings.strict,
            ))
        });
        Some(Arc::clone(verifier))
    }
}
