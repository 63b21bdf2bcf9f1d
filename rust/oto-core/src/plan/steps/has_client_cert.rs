//! Refuse a client without a certificate, or one whose certificate is not the one of its API key.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::plan::flow::Flow;
use crate::tls::{DnPattern, normalised};

/// Where an API key says which certificates may use it.
const ALLOWED_NAME: &str = "allowed-client-cert-dn";

#[derive(Deserialize)]
pub(super) struct Settings {}

/// Any certificate.
#[derive(Debug)]
pub(super) struct HasClientCert;

impl StepSettings for Settings {
    type Step = HasClientCert;

    fn build(self) -> Result<HasClientCert, String> {
        Ok(HasClientCert)
    }
}

impl NativeStep for HasClientCert {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.flow.downstream.client_cert.is_some() {
            return Outcome::Continue;
        }
        Outcome::Answer(at.flow.refusal(403, "forbidden", ""))
    }
}

#[derive(Deserialize)]
pub(super) struct ApikeySettings {}

/// The one of the API key.
#[derive(Debug)]
pub(super) struct ClientCertOfApikey;

impl StepSettings for ApikeySettings {
    type Step = ClientCertOfApikey;

    fn build(self) -> Result<ClientCertOfApikey, String> {
        Ok(ClientCertOfApikey)
    }
}

impl NativeStep for ClientCertOfApikey {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if is_the_keys(at.flow) == Some(true) {
            return Outcome::Continue;
        }
        Outcome::Answer(at.flow.refusal(403, "forbidden", ""))
    }
}

fn is_the_keys(flow: &Flow) -> Option<bool> {
    let subject = normalised(&flow.downstream.client_cert.as_ref()?.subject);
    let apikey = flow.attrs.apikey.as_ref()?;
    let allowed = DnPattern::new(apikey.metadata(ALLOWED_NAME)?);
    Some(allowed.matches(&subject))
}
