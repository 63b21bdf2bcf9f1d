//! What TLS is decided by: certificates by name, and what a client's certificate says. The
//! handshakes themselves are the engine's.

mod certificate;
mod certificates;
mod client_certificate;
mod distinguished_name;

pub use certificate::Certificate;
pub use certificates::Certificates;
pub use client_certificate::ClientCertificate;
