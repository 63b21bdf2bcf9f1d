//! Refuse a client whose certificate is in no list.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::tls::{CertificateRules, CertificateRulesSpec};

#[derive(Deserialize)]
pub(super) struct Settings {
    mandatory: bool,
    #[serde(flatten)]
    rules: CertificateRulesSpec,
}

/// The step.
#[derive(Debug)]
pub(super) struct ClientCertMatching {
    mandatory: bool,
    rules: CertificateRules,
}

impl StepSettings for Settings {
    type Step = ClientCertMatching;

    fn build(self) -> Result<ClientCertMatching, String> {
        Ok(ClientCertMatching {
            mandatory: self.mandatory,
            rules: CertificateRules::build(self.rules)?,
        })
    }
}

impl NativeStep for ClientCertMatching {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let certificate = at.flow.downstream.client_cert.as_deref();
        if certificate.map_or(!self.mandatory, |certificate| self.rules.admit(certificate)) {
            return Outcome::Continue;
        }
        Outcome::Answer(at.flow.refusal(403, "forbidden", ""))
    }
}
