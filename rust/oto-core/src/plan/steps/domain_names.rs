//! Let in, or keep out, requests for the domains of a list.
//!
//! A route's plan may have it, and the settings of a snapshot have it for every request, before there is
//! a route (Otoroshi's incoming-request validators).

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::access::DomainSet;
use crate::plan::reply::Reply;

/// As JSON has it: without `domains` every request passes.
#[derive(Debug, Deserialize)]
pub(in super::super) struct Settings {
    #[serde(default)]
    domains: Option<Vec<String>>,
    listed_pass: bool,
}

/// The step.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Settings")]
pub struct DomainNames {
    domains: Option<DomainSet>,
    listed_pass: bool,
}

impl From<Settings> for DomainNames {
    fn from(settings: Settings) -> Self {
        Self {
            domains: settings.domains.as_deref().map(DomainSet::new),
            listed_pass: settings.listed_pass,
        }
    }
}

impl StepSettings for Settings {
    type Step = DomainNames;

    fn build(self) -> Result<DomainNames, String> {
        Ok(self.into())
    }
}

impl DomainNames {
    /// Whether a request for a domain may pass.
    #[must_use]
    pub fn passes(&self, domain: &str) -> bool {
        self.domains
            .as_ref()
            .is_none_or(|domains| domains.contains(domain) == self.listed_pass)
    }

    /// What a request that may not pass gets: no body, and no word why.
    #[must_use]
    pub fn refusal() -> Reply {
        Reply {
            status: 403,
            ..Reply::default()
        }
    }
}

impl NativeStep for DomainNames {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if self.passes(at.flow.request.domain()) {
            return Outcome::Continue;
        }
        Outcome::Answer(Self::refusal())
    }
}
