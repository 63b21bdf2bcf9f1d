//! What TLS is decided by: certificates by name, and what a client's certificate says. The
//! handshakes themselves are the engine's.

mod certificate;
mod certificates;
mod client_certificate;
pub mod client_hello;
mod distinguished_name;
mod matching;
mod normalised;
mod settings;

pub use certificate::Certificate;
pub use certificates::Certificates;
pub use client_certificate::ClientCertificate;
pub use client_hello::ClientHello;
pub use distinguished_name::issuer_of;
pub use matching::{CertificateRules, CertificateRulesSpec, DnPattern};
pub use normalised::{chain_json, common_name_of, normalised};
pub use settings::{ClientAuth, TlsSettings};
