//! What holds for every handshake: Otoroshi's `tlsSettings`, and what of `autoCert` the engine needs.

use serde::Deserialize;

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They are asked; what they show must be trusted.
    Want,
    /// Without a trusted one there is no connection.
    Need,
}

/// The settings of TLS that change at run time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TlsSettings {
    /// The name whose certificate is shown when the client names none, or an unknown one.
    pub default_domain: Option<String>,
    /// Show any certificate rather than none.
    pub random_if_not_found: bool,
    /// Show any certificate to clients that name no server: for a desk.
    pub any_without_name: bool,
    /// For listeners that do not say themselves.
    pub client_auth: ClientAuth,
    /// Ids of the certificates that client certificates must descend from; empty means every
    /// authority there is.
    pub trusted_cas: Vec<String>,
    /// Whether the system's authorities vouch for clients too.
    pub system_cas_for_clients: bool,
    /// Whether the system's authorities vouch for backends too.
    pub system_cas_for_backends: bool,
    /// Whether certificates that nobody vouches for are refused.
    pub strict: bool,
    /// Whether a certificate may be made for a name that has none.
    pub creates_certificates: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            default_domain: None,
            random_if_not_found: false,
            any_without_name: false,
            client_auth: ClientAuth::None,
            trusted_cas: Vec::new(),
            system_cas_for_clients: true,
            system_cas_for_backends: true,
            strict: true,
            creates_certificates: false,
        }
    }
}
