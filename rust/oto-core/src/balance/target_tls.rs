//! TLS towards one target: whom to trust, and what to show.

use serde::Deserialize;

/// Otoroshi's `tls_config`; one that is not enabled counts as the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct TargetTls {
    /// Whether the rest counts.
    pub enabled: bool,
    /// Ids of the client certificates to show; the first that the backend's list of authorities
    /// fits, else the first.
    pub certs: Vec<String>,
    /// Ids of the certificates to trust beside the authorities; none means only those.
    pub trusted_certs: Vec<String>,
    /// Whether the host name may be another one.
    pub loose: bool,
    /// Whether any certificate will do.
    pub trust_all: bool,
}

impl TargetTls {
    /// What counts of it.
    pub(super) fn effective(self) -> Self {
        if self.enabled { self } else { Self::default() }
    }

    /// A text that is equal when two are.
    pub(super) fn key(&self) -> String {
        format!(
            "{:?}|{:?}|{}|{}",
            self.certs, self.trusted_certs, self.loose, self.trust_all
        )
    }
}
