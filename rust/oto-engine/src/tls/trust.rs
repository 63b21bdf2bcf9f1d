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

use webpki::{EndEntityCert, KeyUsage};

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

/// Authorities named to a client, at most: a longer list is not sent at all, which welcomes any.
const MOST_NAMED: usize = 128;

/// Checks the certificates of clients.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    roots: Arc<RootCertStore>,
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    named: Vec<DistinguishedName>,
    mandatory: bool,
    strict: bool,
}

impl ClientVerifier {
    /// `named` are the authorities that clients are told of when they are asked for a certificate;
    /// `strict` refuses what no authority vouches for; otherwise it is taken and known as untrusted.
    pub(super) fn new(
        roots: RootCertStore,
        named: Vec<DistinguishedName>,
        mandatory: bool,
        strict: bool,
    ) -> Self {
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider());
        Self {
            roots,
            authorities: verifier.build().ok(),
            named: if named.len() > MOST_NAMED {
                Vec::new()
            } else {
                named
            },
            mandatory,
            strict,
        }
    }

    /// What an authority vouches for of a chain that a client sent: its own certificate, and those
    /// that lead from it to the authority; none when nobody vouches for it. A client may send any
    /// other certificate along, and nothing says that it has a right to it.
    pub(super) fn vouched<'a>(
        &self,
        chain: &[CertificateDer<'a>],
        now: UnixTime,
    ) -> Option<Vec<CertificateDer<'a>>> {
        let (own, others) = chain.split_first()?;
        let parsed = EndEntityCert::try_from(own).ok()?;
        let path = parsed
            .verify_for_usage(
                provider().signature_verification_algorithms.all,
                &self.roots.roots,
                others,
                now,
                KeyUsage::client_auth(),
                None,
                None,
            )
            .ok()?;
        let anchor = path.anchor();
        let leads = |other: &&CertificateDer<'a>| {
            path.intermediate_certificates()
                .any(|link| link.der() == **other)
                || webpki::anchor_from_trusted_cert(other).is_ok_and(|sent| {
                    sent.subject == anchor.subject
                        && sent.subject_public_key_info == anchor.subject_public_key_info
                })
        };
        let links = others.iter().filter(leads);
        Some(std::iter::once(own).chain(links).cloned().collect())
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.named
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
