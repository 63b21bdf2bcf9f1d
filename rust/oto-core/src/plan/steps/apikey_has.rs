//! What the caller's key must carry, when there is one: tags, or metadata.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct TagSettings {
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MetadataSettings {
    metadata: BTreeMap<String, String>,
}

/// The step of `NgApikeyMandatoryTags`.
#[derive(Debug)]
pub(super) struct HasTags(Vec<String>);

/// The step of `NgApikeyMandatoryMetadata`.
#[derive(Debug)]
pub(super) struct HasMetadata(BTreeMap<String, String>);

impl StepSettings for TagSettings {
    type Step = HasTags;

    fn build(self) -> Result<HasTags, String> {
        Ok(HasTags(self.tags))
    }
}

impl StepSettings for MetadataSettings {
    type Step = HasMetadata;

    fn build(self) -> Result<HasMetadata, String> {
        Ok(HasMetadata(self.metadata))
    }
}

fn unless(holds: bool, at: &mut At<'_>, cause: &str) -> Outcome {
    if holds {
        return Outcome::Continue;
    }
    Outcome::Answer(at.flow.refusal(403, "forbidden", cause))
}

impl NativeStep for HasTags {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let holds = at.flow.attrs.apikey.as_ref().is_none_or(|key| {
            let has = |tag: &String| key.tags().any(|held| held == tag);
            self.0.iter().all(has)
        });
        unless(holds, at, "errors.no.matching.tags")
    }
}

impl NativeStep for HasMetadata {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let holds = at.flow.attrs.apikey.as_ref().is_none_or(|key| {
            let has = |(name, value): (&String, &String)| key.metadata(name) == Some(value);
            self.0.iter().all(has)
        });
        unless(holds, at, "errors.no.matching.metadata")
    }
}
