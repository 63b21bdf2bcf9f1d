//! TLS on both sides: what is agreed on, whom to believe, and the bytes of a connection.

mod clients;
mod clock;
mod servers;
mod session;
mod tickets;
mod trust;

pub(crate) use clients::{Clients, Terms};
pub(crate) use servers::{Servers, Shown};
pub(crate) use session::{RECORD_BYTES, Session, SessionOver};

use std::sync::Arc;

use oto_core::tls::Certificate;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::sign::CertifiedKey;

/// The ciphers of every connection.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(default_provider())))
}

/// A certificate with its key, ready to sign; none when they do not fit.
fn certified(certificate: &Certificate) -> Option<Arc<CertifiedKey>> {
    let prepared = certificate.prepared.get_or_init(|| {
        let key = any_supported_type(certificate.key.as_ref()?).ok()?;
        let pair = CertifiedKey::new(certificate.chain.clone(), key);
        match pair.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Some(Arc::new(pair))
            }
            Err(_) => None,
        }
    });
    let prepared = Arc::clone(prepared.as_ref()?);
    prepared.downcast().ok()
}
