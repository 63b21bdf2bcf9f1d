//! Whom to believe: authorities, and what becomes of certificates that none of them vouches for.

use std::sync::{Arc, OnceLock};

use oto_core::tls::{Certificate, Certificates};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::provider;

/// The authorities of the system, read once.
fn system_roots() -> &'static [CertificateDer<'static>] {
    static ROOTS: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    ROOTS.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

/// Authorities to start from: the system's if wanted, and these.
pub(super) fn roots<'a>(
    system: bool,
    own: impl Iterator<Item = &'a CertificateDer<'static>>,
) -> RootCertStore {
    let mut store = RootCertStore::empty();
    if system {
        store.add_parsable_certificates(system_roots().iter().cloned());
    }
    store.add_parsable_certificates(own.cloned());
    store
}

/// The certificates of all authorities that a table holds.
pub(super) fn authorities(certificates: &Certificates) -> Vec<Arc<Certificate>> {
    let mut found = Vec::new();
    certificates.for_each(&mut |certificate| {
        if certificate.is_ca && !certificate.is_revoked {
            found.push(Arc::clone(certificate));
        }
    });
    found
}

fn check_tls12(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls12_signature(
        message,
        cert,
        dss,
        &provider().signature_verification_algorithms,
    )
}

fn check_tls13(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature(
        message,
        cert,
        dss,
        &provider().signature_verification_algorithms,
    )
}

fn schemes() -> Vec<SignatureScheme> {
    provider()
        .signature_verification_algorithms
        .supported_schemes()
}

/// Checks the certificates of backends.
#[derive(Debug)]
pub(super) struct BackendVerifier {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates believed as they are, without an authority.
    pinned: Vec<Arc<Certificate>>,
    loose: bool,
    trust_all: bool,
}

impl BackendVerifier {
    pub(super) fn new(
        roots: RootCertStore,
        pinned: Vec<Arc<Certificate>>,
        loose: bool,
        trust_all: bool,
    ) -> Self {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        Self {
            // Without any authority there is none to ask.
            authorities: verifier.build().ok(),
            pinned,
            loose,
            trust_all,
        }
    }

    fn is_pinned(&self, end_entity: &CertificateDer<'_>, now: UnixTime) -> bool {
        let now_s = now.as_secs() as f64;
        self.pinned.iter().any(|pinned| {
            pinned.chain.first().is_some_and(|own| own == end_entity)
                && !pinned.is_revoked
                && pinned.not_before_s as f64 <= now_s
                && now_s <= pinned.not_after_s as f64
        })
    }
}

impl ServerCertVerifier for BackendVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trust_all {
            return Ok(ServerCertVerified::assertion());
        }
        if self.is_pinned(end_entity, now) {
            if !self.loose {
                let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let Some(authorities) = &self.authorities else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let checked = authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match checked {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.loose => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}

/// Checks the certificates of clients.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
    strict: bool,
}

impl ClientVerifier {
    /// `strict` refuses what no authority vouches for; otherwise it is taken and known as untrusted.
    pub(super) fn new(roots: RootCertStore, mandatory: bool, strict: bool) -> Self {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        Self {
            authorities: verifier.build().ok(),
            mandatory,
            strict,
        }
    }

    /// Whether an authority vouches for a chain.
    pub(super) fn trusts(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        let (Some(authorities), Some((own, rest))) = (&self.authorities, chain.split_first())
        else {
            return false;
        };
        authorities.verify_client_cert(own, rest, now).is_ok()
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // The system's authorities are many: naming them all would swell every handshake.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !self.strict {
            return Ok(ClientCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => authorities.verify_client_cert(end_entity, intermediates, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}
