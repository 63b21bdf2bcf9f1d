//! Let in, or keep out, the callers of a list of addresses.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::access::IpSet;

/// Only these may pass; an empty list lets nobody through.
#[derive(Debug, Deserialize)]
pub(super) struct Allowed {
    #[serde(default)]
    addresses: Vec<String>,
}

/// These may not pass.
#[derive(Debug, Deserialize)]
pub(super) struct Blocked {
    #[serde(default)]
    addresses: Vec<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct IpList {
    addresses: IpSet,
    listed_pass: bool,
}

impl StepSettings for Allowed {
    type Step = IpList;

    fn build(self) -> Result<IpList, String> {
        Ok(IpList {
            addresses: IpSet::build("addresses", &self.addresses)?,
            listed_pass: true,
        })
    }
}

impl StepSettings for Blocked {
    type Step = IpList;

    fn build(self) -> Result<IpList, String> {
        Ok(IpList {
            addresses: IpSet::build("addresses", &self.addresses)?,
            listed_pass: false,
        })
    }
}

impl NativeStep for IpList {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.flow.comes_from(&self.addresses) == self.listed_pass {
            return Outcome::Continue;
        }
        Outcome::Answer(at.flow.address_refusal())
    }
}
